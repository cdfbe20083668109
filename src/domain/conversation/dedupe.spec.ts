import fc from 'fast-check';
import { ConversationSimulation } from '../../../test/support/conversation-simulation';
import {
  ANNA,
  atSeq,
  BEN,
  CARA,
  CONVERSATION,
  keyBornAt,
  type CommandFields,
} from '../../../test/support/given-conversation';
import { replayable } from '../../../test/support/replayable';
import { asClientMessageId, asMessageId, type UserId } from '../../kernel/ids';
import type { SendMessage } from './commands';
import { STATE_LIMITS, type StateLimits } from './state';

/** The smallest bounds show most: nearly every key has left the window. */
const TINY: StateLimits = { ...STATE_LIMITS, dedupeWindow: 3, departed: 1 };

type Step =
  | {
      readonly kind: 'send';
      readonly by: UserId;
      readonly key: string;
      readonly contentHash: string;
      lag: number;
    }
  /** As `send`, but the answer of the index, if one is needed, waits until `resume`. */
  | {
      readonly kind: 'sendSlowly';
      readonly by: UserId;
      readonly key: string;
      readonly contentHash: string;
      lag: number;
    }
  | { readonly kind: 'resume' }
  | { readonly kind: 'leave' | 'join'; readonly by: UserId };

const people = fc.constantFrom(BEN, CARA);
/**
 * Few enough keys to meet again; births in any order, twice the same, from the far future, and none at all.
 */
const keys = fc.oneof(
  fc
    .tuple(fc.constantFrom(1, 2, 3, Date.UTC(9999, 0)), fc.nat(1))
    .map(([birth, salt]) => keyBornAt(birth, salt)),
  fc.constantFrom('one', 'two'),
);
const sends = {
  by: fc.oneof(people, fc.constant(ANNA)),
  key: keys,
  contentHash: fc.constantFrom('a', 'a', 'a', 'b'),
  lag: fc.nat(4),
};
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), ...sends }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sendSlowly' as const), ...sends }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'resume' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'join' as const), by: people }),
  },
);

/** Keeps every promise of {@link recall}, or fails. */
class Room {
  readonly simulation: ConversationSimulation;
  private readonly waiting: { readonly command: SendMessage; readonly lag: number }[] = [];
  private sends = 0;

  constructor(limits: StateLimits) {
    this.simulation = new ConversationSimulation(limits);
    this.run({ type: 'StartConversation', kind: 'group', memberIds: [BEN, CARA], by: ANNA });
  }

  take(step: Step): void {
    switch (step.kind) {
      case 'send':
        this.settle(this.command(step), step.lag);
        return;
      case 'sendSlowly':
        this.begin(this.command(step), step.lag);
        return;
      case 'resume':
        for (const { command, lag } of this.waiting.splice(0)) this.begin(command, lag);
        return;
      case 'leave':
        this.run({ type: 'LeaveConversation', by: step.by });
        return;
      case 'join':
        this.run({ type: 'AddMembers', by: ANNA, userIds: [step.by] });
        return;
    }
  }

  private run(fields: CommandFields): void {
    const command = { at: atSeq(0), ...fields, conversationId: CONVERSATION };
    this.simulation.handle(command);
  }

  private command({ by, key, contentHash }: Extract<Step, { key: string }>): SendMessage {
    this.sends += 1;
    return {
      type: 'SendMessage',
      conversationId: CONVERSATION,
      by,
      at: atSeq(0),
      clientMessageId: asClientMessageId(key),
      messageId: asMessageId(`message-${this.sends}`),
      content: { type: 'text', body: contentHash },
      contentHash,
    };
  }

  /** One look-up is enough when its answer is used at once. */
  private settle(command: SendMessage, lag: number): void {
    const decision = this.decided(command);
    if (decision.kind !== 'lookup') return;
    const index = this.simulation.lookUp(decision.request, lag);
    expect(this.decided({ ...command, index }).kind).not.toBe('lookup');
  }

  private begin(command: SendMessage, lag: number): void {
    const decision = this.decided(command);
    if (decision.kind !== 'lookup') return;
    this.waiting.push({ command: { ...command, index: this.simulation.lookUp(decision.request, lag) }, lag });
  }

  /** The decision, which must be right by all that was ever stored. */
  private decided(command: SendMessage) {
    const stored = this.simulation.stored(command);
    const decision = this.simulation.handle(command);
    if (decision.kind === 'accepted') expect(stored).toBeUndefined();
    if (decision.kind === 'repeated') {
      expect(decision.message).toEqual(stored);
      expect(stored?.contentHash).toBe(command.contentHash);
    }
    if (decision.kind === 'refused' && decision.refusal.code === 'client_message_id_reused') {
      expect(stored).toBeDefined();
      expect(stored?.contentHash).not.toBe(command.contentHash);
    }
    return decision;
  }
}

const keepsItsPromises = (limits: StateLimits, walk: readonly Step[]): Room => {
  const room = new Room(limits);
  for (const step of walk) room.take(step);
  return room;
};

describe('sent twice, stored once', () => {
  it.each([0, 1, 2])(
    'whatever keys, clocks, slow look-ups, and comings and goings do; %i remembered',
    (departed) => {
      fc.assert(
        fc.property(fc.array(steps, { maxLength: 60 }), (walk) => {
          keepsItsPromises({ ...TINY, departed }, walk);
        }),
        replayable(500),
      );
    },
  );

  it('with the window of the product, flooded in between', () => {
    const flood = (round: number): Step[] =>
      Array.from({ length: STATE_LIMITS.dedupeWindow - 1 }, (_, index) => ({
        kind: 'send',
        by: ANNA,
        key: keyBornAt(1_000 + round, index),
        contentHash: 'a',
        lag: 0,
      }));
    fc.assert(
      fc.property(fc.array(fc.array(steps, { maxLength: 6 }), { maxLength: 3 }), (rounds) => {
        keepsItsPromises(
          STATE_LIMITS,
          rounds.flatMap((round, at) => [...round, ...flood(at)]),
        );
      }),
      replayable(8),
    );
  });

  describe('a sender keeps the latest birth, in whatever order the keys are dropped', () => {
    const send = (by: UserId, birth: number): Step => ({
      kind: 'send',
      by,
      key: keyBornAt(birth),
      contentHash: 'a',
      lag: 0,
    });
    const sends = [send(BEN, 5), send(BEN, 3)];
    const drops = [11, 12, 13].map((birth) => send(ANNA, birth));
    const away: Step[] = [
      { kind: 'leave', by: BEN },
      { kind: 'join', by: BEN },
    ];
    const [leave, join] = away as [Step, Step];

    it.each([
      ['who stays', [...sends, ...drops]],
      ['who leaves before they are dropped', [...sends, leave, ...drops, join]],
      ['who leaves after they are dropped', [...sends, ...drops, leave, join]],
      ['who comes back before they are dropped', [...sends, leave, join, ...drops]],
    ])('%s', (_who, walk) => {
      for (const departed of [0, 1]) {
        const { simulation } = keepsItsPromises({ ...TINY, departed }, walk);
        expect(simulation.state?.members.get(BEN)?.droppedBirth).toBe(5);
      }
    });

    it('also when others are forgotten after them', () => {
      const others: Step[] = [send(CARA, 2), ...drops, { kind: 'leave', by: CARA }];
      const walk = [...sends, ...drops, leave, ...others, join];
      const { simulation } = keepsItsPromises({ ...TINY, departed: 0 }, walk);
      expect(simulation.state?.members.get(BEN)?.droppedBirth).toBe(5);
    });
  });

  it('a lying clock costs its own user look-ups, and nobody else', () => {
    const far: Step[] = Array.from({ length: 4 }, (_, salt) => ({
      kind: 'send',
      by: BEN,
      key: keyBornAt(Date.UTC(9999, 0), salt),
      contentHash: 'a',
      lag: 0,
    }));
    const { simulation } = keepsItsPromises({ ...TINY, departed: 2 }, [
      ...far,
      { kind: 'leave', by: BEN },
      { kind: 'leave', by: CARA },
      { kind: 'join', by: CARA },
      { kind: 'join', by: BEN },
    ]);
    const dropped = (userId: UserId) => simulation.state?.members.get(userId)?.droppedBirth;
    expect([ANNA, BEN, CARA].map(dropped)).toEqual([-1, Date.UTC(9999, 0), -1]);
  });
});
