import fc from 'fast-check';
import { ConversationSimulation } from '../../../test/support/conversation-simulation';
import {
  ANNA,
  atSeq,
  BEN,
  CARA,
  CONVERSATION,
  DORA,
  keyBornAt,
  STRANGER,
} from '../../../test/support/given-conversation';
import { replayable } from '../../../test/support/replayable';
import { asClientMessageId, asDeviceId, asMessageId, asSeq } from '../../kernel/ids';
import { evolveAudience, receivers, type Audience } from './audience';
import type { ConversationCommand } from './commands';
import { decide } from './decide';
import type { ConversationEvent } from './events';
import { evolve } from './evolve';
import { fromSnapshot, toSnapshot } from './snapshot';
import { STATE_LIMITS, type ConversationState, type StateLimits } from './state';

const TINY: StateLimits = {
  dedupeWindow: 2,
  departed: 1,
  deliveredDevices: 2,
  deletedRanges: 2,
  versions: 2,
  reactions: 2,
};

const who = fc.constantFrom(ANNA, BEN, CARA, DORA, STRANGER);
const seqs = fc.integer({ min: 0, max: 40 }).map(asSeq);
const roles = fc.constantFrom('owner' as const, 'admin' as const, 'member' as const);
const settings = fc.record(
  {
    historyVisibility: fc.constantFrom('joined' as const, 'shared' as const),
    whoMayInvite: fc.constantFrom('everyone' as const, 'admins' as const),
    whoMayPost: fc.constantFrom('everyone' as const, 'admins' as const),
    disappearAfterSeconds: fc.nat(60),
  },
  { requiredKeys: [] },
);
const keys = fc.oneof(
  fc.nat(6).map((birth) => keyBornAt(birth)),
  fc.constantFrom('one', 'two', 'three'),
);
const base = { by: who, conversationId: fc.constant(CONVERSATION), at: fc.nat(600).map(atSeq) };
/** Commands of one type; the fields in `optional` are sometimes absent. */
function command<T extends ConversationCommand['type']>(
  type: T,
  fields: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  optional: readonly string[] = [],
) {
  const all = { type: fc.constant(type), ...base, ...fields };
  const requiredKeys = (Object.keys(all) as (keyof typeof all)[]).filter((key) => !optional.includes(key));
  // The fields are typed where decide takes them apart; a wrong one would fail every walk.
  return fc.record(all, { requiredKeys }) as unknown as fc.Arbitrary<
    Extract<ConversationCommand, { type: T }>
  >;
}
const content = fc.constant({ type: 'text', body: 'hello' });
const onMessage = { target: seqs };

/** Any command, sensible or not; `message` is put in by the walk, as the executor would. */
const commands: fc.Arbitrary<ConversationCommand> = fc.oneof(
  command('ChangeConversation', { title: fc.constantFrom('Tea', 'Milk'), settings }, ['title', 'settings']),
  command('AddMembers', { userIds: fc.array(who, { maxLength: 3 }), role: roles }, ['role']),
  command('RemoveMember', { userId: who }),
  command('LeaveConversation', {}),
  command('ChangeRole', { userId: who, role: roles }),
  command('SetBlock', { on: fc.boolean() }),
  {
    weight: 5,
    arbitrary: command(
      'SendMessage',
      {
        clientMessageId: keys.map(asClientMessageId),
        messageId: fc.constant(asMessageId('message')),
        content,
        contentHash: fc.constantFrom('a', 'a', 'b'),
        replyTo: seqs,
        mentions: fc.array(who, { maxLength: 1 }),
      },
      ['replyTo', 'mentions'],
    ),
  },
  command('EditMessage', { ...onMessage, content, editWindowMs: fc.constant(300_000) }),
  { weight: 2, arbitrary: command('DeleteMessage', onMessage) },
  command('SetReaction', { ...onMessage, emoji: fc.constantFrom('👍', '👎'), on: fc.boolean() }),
  command('RecordDelivered', {
    cursors: fc.array(
      fc.record({ userId: who, deviceId: fc.constantFrom('a', 'b').map(asDeviceId), upTo: seqs }),
      { maxLength: 4 },
    ),
  }),
  command('RecordRead', { cursors: fc.array(fc.record({ userId: who, upTo: seqs }), { maxLength: 4 }) }),
);

const starts = fc.constantFrom<ConversationCommand>(
  {
    type: 'StartConversation',
    kind: 'group',
    memberIds: [BEN, CARA],
    by: ANNA,
    at: atSeq(0),
    conversationId: CONVERSATION,
  },
  {
    type: 'StartConversation',
    kind: 'direct',
    memberIds: [BEN],
    by: ANNA,
    at: atSeq(0),
    conversationId: CONVERSATION,
  },
);
const walks = fc.tuple(starts, fc.array(commands, { maxLength: 60 }));

type Look = (step: {
  readonly command: ConversationCommand;
  readonly before: ConversationState | undefined;
  readonly after: ConversationState | undefined;
  readonly events: readonly ConversationEvent[];
}) => void;

/** Handles the commands one after another, with the index asked where it must be. */
function walk(
  [start, rest]: readonly [ConversationCommand, readonly ConversationCommand[]],
  limits: StateLimits,
  look: Look,
) {
  const simulation = new ConversationSimulation(limits);
  for (const each of [start, ...rest]) {
    const whole = 'target' in each ? { ...each, message: simulation.message(each.target) } : each;
    const before = simulation.state;
    let decision = simulation.handle(whole);
    if (decision.kind === 'lookup' && whole.type === 'SendMessage') {
      decision = simulation.handle({ ...whole, index: simulation.lookUp(decision.request, 0) });
    }
    const events = decision.kind === 'accepted' ? decision.events : [];
    look({ command: whole, before, after: simulation.state, events });
  }
  return simulation;
}

/** The promise holds on random walks, with the bounds of the product and with tiny ones. */
function promised(check: (limits: StateLimits) => Look, runs = 120, allLimits = [STATE_LIMITS, TINY]): void {
  for (const limits of allLimits) {
    fc.assert(
      fc.property(walks, (steps) => {
        walk(steps, limits, check(limits));
      }),
      replayable(runs),
    );
  }
}

describe('whatever is commanded', () => {
  it('deciding is deterministic and leaves the state alone', () => {
    promised(() => ({ command: each, before }) => {
      const image = before && JSON.stringify(toSnapshot(before, ''));
      expect(decide(each, before)).toEqual(decide(each, before));
      expect(before && JSON.stringify(toSnapshot(before, ''))).toEqual(image);
    });
  });

  it('ordinals are dense', () => {
    promised(() => {
      let last = 0;
      return ({ events, after }) => {
        for (const event of events) if (event.type === 'MessageSent') expect(event.ordinal).toBe((last += 1));
        expect(after?.lastOrdinal ?? 0).toBe(last);
      };
    });
  });

  it('a key is stored once for each sender', () => {
    promised(() => {
      const stored = new Set<string>();
      return ({ events }) => {
        for (const event of events) {
          if (event.type !== 'MessageSent') continue;
          const key = `${event.by}/${event.clientMessageId}`;
          expect(stored).not.toContain(key);
          stored.add(key);
        }
      };
    });
  });

  it('only members make events, and only about members', () => {
    promised(() => ({ before, events }) => {
      if (before === undefined) return;
      for (const event of events) {
        expect(before.members.has(event.by)).toBe(true);
        if (event.type === 'MembershipChanged') {
          expect(before.members.has(event.userId)).toBe(event.change !== 'joined');
        }
        if ('cursors' in event) {
          for (const { userId } of event.cursors) expect(before.members.has(userId)).toBe(true);
        }
      }
    });
  });

  it('no cursor lies beyond the head, and each only moves forward', () => {
    // With as many devices as the walks know, none is forgotten.
    const limits = { ...TINY, deliveredDevices: STATE_LIMITS.deliveredDevices };
    promised(
      () => {
        const furthest = new Map<string, number>();
        return ({ before, events }) => {
          for (const event of events) {
            if (!('cursors' in event)) continue;
            for (const cursor of event.cursors) {
              const key = JSON.stringify({ ...cursor, upTo: event.type });
              expect(cursor.upTo).toBeGreaterThan(furthest.get(key) ?? -1);
              expect(cursor.upTo).toBeLessThanOrEqual(before?.head ?? -1);
              furthest.set(key, cursor.upTo);
            }
          }
        };
      },
      120,
      [STATE_LIMITS, limits],
    );
  });

  it('versions of a message only rise', () => {
    promised(() => {
      const versions = new Map<number, number>();
      return ({ events }) => {
        for (const event of events) {
          if (event.type !== 'MessageEdited') continue;
          expect(event.version).toBeGreaterThan(versions.get(event.target) ?? 1);
          versions.set(event.target, event.version);
        }
      };
    });
  });

  it('a group that has members has exactly one owner; both of a direct one stay', () => {
    promised(() => ({ after }) => {
      if (after === undefined) return;
      const owners = after.members.filter(({ role }) => role === 'owner').size;
      if (after.kind === 'group') expect(owners).toBe(after.members.isEmpty() ? 0 : 1);
      else expect(after.members.keySeq().toArray().sort()).toEqual([ANNA, BEN]);
    });
  });

  it('nothing is remembered beyond its bound', () => {
    promised((limits) => ({ after }) => {
      if (after === undefined) return;
      expect(after.recent.size).toBeLessThanOrEqual(limits.dedupeWindow);
      expect(after.departed.size).toBeLessThanOrEqual(limits.departed);
      expect(after.delivered.size).toBeLessThanOrEqual(limits.deliveredDevices);
      expect(after.deleted.size).toBeLessThanOrEqual(limits.deletedRanges);
      expect(after.versions.size).toBeLessThanOrEqual(limits.versions);
      expect(after.reactions.size).toBeLessThanOrEqual(limits.reactions);
    });
  });

  it('sending a command twice records nothing new, unless it is an edit', () => {
    promised(
      () =>
        ({ command: each, after, events }) => {
          if (events.length === 0 || each.type === 'EditMessage') return;
          const again = decide(each, after);
          // What lay beyond the head may lie within it by the very event; and what was dropped from a tiny
          // window is asked.
          if ('cursors' in each && each.cursors.some(({ upTo }) => upTo >= (after?.head ?? 0))) return;
          expect(again.kind).not.toBe('accepted');
        },
      120,
      [STATE_LIMITS],
    );
  });

  it('live delivery knows the members as the state does', () => {
    promised(() => {
      let audience: Audience | undefined;
      let seq = 0;
      return ({ after, events }) => {
        for (const event of events) {
          const recorded = { conversationId: CONVERSATION, seq: asSeq(seq), at: atSeq(seq), event };
          const earlier = audience;
          audience = evolveAudience(earlier, recorded);
          seq += 1;
          // Whoever is a member before or after it: so the one who leaves and the one who joins both see it.
          const concerned = (earlier ?? audience).members.union(audience.members);
          expect(receivers(earlier, audience, recorded).equals(concerned)).toBe(true);
        }
        expect(audience?.members.equals(after?.members.keySeq().toSet() as Audience['members'])).toBe(true);
      };
    });
  });

  it('a batch decided on the evolving state is what a reader of the log gets', () => {
    for (const limits of [STATE_LIMITS, TINY]) {
      fc.assert(
        fc.property(walks, (steps) => {
          const simulation = walk(steps, limits, () => undefined);
          expect(simulation.folded()).toEqual(simulation.state);
        }),
        replayable(150),
      );
    }
  });

  it('a snapshot taken anywhere goes on as the state would have', () => {
    fc.assert(
      fc.property(walks, fc.nat(80), (steps, at) => {
        const { log, state } = walk(steps, STATE_LIMITS, () => undefined);
        const fold = (from: ConversationState | undefined, events: typeof log) =>
          events.reduce<ConversationState | undefined>((now, recorded) => evolve(now, recorded), from);
        const middle = fold(undefined, log.slice(0, at + 1)) as ConversationState;
        const stored: unknown = JSON.parse(JSON.stringify(toSnapshot(middle, 'hash')));
        const restored = fromSnapshot(stored);
        expect(restored).toEqual({ state: middle, hash: 'hash' });
        expect(fold(restored?.state, log.slice(at + 1))).toEqual(state);
      }),
      replayable(150),
    );
  });
});
