import { Synchronizer } from '../../sdk/synchronizer';
import { Executor } from '../../src/application/executor';
import { WarmConversations } from '../../src/application/executor/warm-conversations';
import type { Warm } from '../../src/application/executor/warm';
import { AppendOutcomeUnknown, EventLog, type AppendResult } from '../../src/application/ports/event-log';
import { MessageIndex } from '../../src/application/ports/message-index';
import type { InboxHeads } from '../../src/application/ports/read-models';
import type { Audiences } from '../../src/delivery/audiences';
import { ConversationLanes } from '../../src/delivery/conversation-lanes';
import { FanOut } from '../../src/delivery/fan-out';
import { FeedProbe } from '../../src/delivery/feed-probe';
import { SyncDebts } from '../../src/delivery/sync-debts';
import { SyncInbox } from '../../src/delivery/sync-inbox';
import { BoundedMap } from '../../src/domain/conversation/bounded-map';
import { RecentMessages } from '../../src/domain/conversation/recent-messages';
import type { ConversationState } from '../../src/domain/conversation/state';
import type { Recorded } from '../../src/domain/conversation/events';
import { OutboundQueue } from '../../src/gateway/outbound-queue';
import { Session } from '../../src/gateway/session';
import { asRevision, type UserId } from '../../src/kernel/ids';
import { POSITION_START, type Position } from '../../src/kernel/position';
import type { Scenario } from './scenario';
import type { Wiring } from './wiring';

/** A rule taken away, from outside: the product has no switch for it. */
export interface Mutant {
  readonly name: string;
  /** What is gone. */
  readonly without: string;
  /**
   * Whether a scenario has what the rule is for at all; absent: any may. The others cannot miss it, so a search leaves them
   * out, and counts them.
   */
  readonly meets?: (scenario: Scenario) => boolean;
  /** Something between a node and its log. */
  readonly log?: (log: EventLog) => EventLog;
  /** Providers of a node that are replaced. */
  readonly instead?: (wiring: Wiring) => readonly (readonly [unknown, unknown])[];
  readonly session?: typeof Session;
  /** Changes methods of classes. @returns how to change them back */
  readonly patch?: () => () => void;
}

const LARGE_MEMBERS = 900;

type Method = (this: never, ...args: never[]) => unknown;

/** Puts `make(original)` in the place of a method, private ones included. */
function patched(
  owner: { readonly prototype: object },
  name: string,
  make: (original: Method) => Method,
): () => void {
  const methods = owner.prototype as Record<string, Method>;
  const original = methods[name];
  if (original === undefined) throw new Error(`there is no method ${name} to take a rule from`);
  methods[name] = make(original);
  return () => {
    methods[name] = original;
  };
}

const isOfThousand = ({ groups }: Scenario): boolean => groups.some(({ silent }) => silent > LARGE_MEMBERS);

/** The log with some of its methods replaced. */
const logWith = (log: EventLog, methods: Partial<EventLog>): EventLog =>
  Object.assign(Object.create(log) as EventLog, methods);

/** What decisions stand on, with something forgotten. */
function forgetful(forget: (state: ConversationState) => Partial<ConversationState>): () => () => void {
  const without = (warm: Warm | undefined): Warm | undefined =>
    warm?.state === undefined ? warm : { ...warm, state: { ...warm.state, ...forget(warm.state) } };
  return () => {
    const undos = [
      patched(WarmConversations, 'peek', (original) => {
        return function (this: never, ...args: never[]) {
          return without(original.apply(this, args) as Warm | undefined);
        };
      }),
      patched(WarmConversations, 'fetch', (original) => {
        return async function (this: never, ...args: never[]) {
          return without((await original.apply(this, args)) as Warm);
        };
      }),
      patched(WarmConversations, 'refresh', (original) => {
        return async function (this: never, ...args: never[]) {
          const refreshed = (await original.apply(this, args)) as { readonly warm: Warm };
          return { ...refreshed, warm: without(refreshed.warm) };
        };
      }),
    ];
    return () => {
      for (const undo of undos) undo();
    };
  };
}

/** Sends to those who are members by now, as the executor knows it, which may be ahead of the feed. */
function toPresentMembers(wiring: Wiring): void {
  const fanOut = wiring.get(FanOut);
  const { conversations } = wiring.get(Executor) as unknown as { readonly conversations: WarmConversations };
  const deliver = fanOut.deliver.bind(fanOut) as (...args: unknown[]) => void;
  Object.assign(fanOut, {
    deliver: (recorded: Recorded, receivers: unknown, ...rest: unknown[]) => {
      const state = conversations.peek(recorded.conversationId)?.state;
      deliver(recorded, state === undefined ? receivers : state.members.keys(), ...rest);
    },
  });
}

const nothing = () => () => undefined;

class NoHold extends Session {
  override hold(): void {
    return;
  }
}

/** As if it had been opened when it is asked for: whoever authenticates last is the newest. */
class AlwaysNew extends Session {
  constructor(...args: ConstructorParameters<typeof Session>) {
    super(...args);
    Object.defineProperty(this, 'openedAt', { get: () => performance.now() });
  }
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'dedupe-window',
    without: 'the window of recent keys',
    patch: forgetful(() => ({ recent: RecentMessages.of([]) })),
  },
  {
    name: 'dedupe-index',
    without: 'the permanent index: keys that have left the window count as new',
    instead: () => [[MessageIndex, { find: () => Promise.resolve({ kind: 'answer', found: undefined }) }]],
  },
  {
    name: 'content-hash',
    without: 'the comparison of contents under one key',
    patch: () =>
      patched(Executor, 'execute', (original) => {
        return function (this: never, ...[command, ...rest]: never[]) {
          const same = { ...(command as unknown as object), contentHash: 'same' } as never;
          return original.apply(this, [same, ...rest]);
        };
      }),
  },
  {
    name: 'expected-revision',
    without: 'the expected revision of an append',
    log: (log) =>
      logWith(log, { append: (stream, events) => log.append(stream, events, { expected: 'any' }) }),
  },
  {
    name: 'unknown-outcome',
    without: 'the look behind an append whose outcome nobody knows: it counts as stored',
    log: (log) =>
      logWith(log, {
        append: (stream, events, options): Promise<AppendResult> =>
          log.append(stream, events, options).catch((error: unknown) => {
            const { expected } = options;
            if (!(error instanceof AppendOutcomeUnknown)) throw error;
            const before = typeof expected === 'bigint' ? expected : -1n;
            const revision = asRevision(before + BigInt(events.length));
            return { kind: 'appended', revision, position: POSITION_START };
          }),
      }),
  },
  {
    name: 'wait-for-projection',
    without: 'the wait for the read models in a sync',
    patch: () =>
      patched(SyncInbox, 'headsFrom', () => {
        return async function (this: never, ...args: never[]) {
          const [userId] = args as unknown as [UserId];
          const heads = await (this as SyncInbox).heads(userId);
          return { heads: heads?.items, isBehind: false };
        };
      }),
  },
  {
    name: 'place-of-heads',
    meets: ({ steps }) => steps.some((step) => step.kind === 'projector' && step.mode === 'crashed'),
    without: 'the look at how far the read models are when they are asked: what was heard of them counts',
    patch: () =>
      patched(SyncInbox, 'headsFrom', () => {
        return async function (this: never, ...args: never[]) {
          const [userId, position, timeoutMs] = args as unknown as [UserId, Position, number];
          const inbox = this as SyncInbox;
          const passed = await inbox.hasPassed(position, timeoutMs);
          const heads = await inbox.heads(userId);
          return { heads: heads?.items, isBehind: !passed || heads === undefined };
        };
      }),
  },
  {
    name: 'membership-at-seq',
    without: 'the audience at the revision of an event: it goes to the present members',
    instead: (wiring) => {
      toPresentMembers(wiring);
      return [];
    },
  },
  {
    name: 'cursors-forward',
    without: 'max() of cursors: every cursor that is told is recorded',
    patch: forgetful(({ members, delivered }) => ({
      members: members.map((member) => ({ ...member, readUpTo: -1 as const })),
      delivered: BoundedMap.empty(delivered.max),
    })),
  },
  {
    name: 'hole-repair',
    without: 'the repair of holes in the feed',
    patch: () =>
      patched(ConversationLanes, 'take', (original) => {
        return function (this: never, ...args: never[]) {
          const { audiences } = this as { readonly audiences: Audiences };
          const [{ conversationId, seq }] = args as unknown as [{ conversationId: never; seq: number }];
          const known = audiences.get(conversationId);
          if (known !== undefined && seq > known.seq + 1)
            audiences.set({ ...known, seq: (seq - 1) as never });
          return original.apply(this, args);
        };
      }),
  },
  {
    name: 'queue-during-sync',
    without: 'the queue in which pushes wait for the end of a sync',
    session: NoHold,
  },
  {
    name: 'newest-socket',
    without: 'the order of sockets by when they were opened: who authenticates last displaces the others',
    session: AlwaysNew,
  },
  {
    name: 'withheld-unsaid',
    meets: isOfThousand,
    without: 'the word that something was withheld from a device that does not focus a very large group',
    patch: () => patched(OutboundQueue, 'withhold', nothing),
  },
  {
    name: 'focus-unsaid',
    meets: isOfThousand,
    without: 'the same word at the moment in which the group is focused',
    patch: () => patched(Session, 'catchUp', nothing),
  },
  {
    name: 'feed-probe',
    meets: ({ weather }) => weather.skips > 0,
    without: 'the probe of the feed: what a subscription leaves out at its end is not looked for',
    patch: () => patched(FeedProbe, 'probe', () => () => Promise.resolve()),
  },
  {
    name: 'sync-debts',
    meets: ({ steps }) => steps.some(({ kind }) => kind === 'projector'),
    without: 'the debts of a sync from the log alone: nobody says later what it could not know',
    patch: () => patched(SyncDebts, 'owe', nothing),
  },
  {
    name: 'sync-left',
    without: 'ended memberships in a sync: only what one belongs to is answered',
    patch: () =>
      patched(SyncInbox, 'heads', (original) => {
        return async function (this: never, ...args: never[]) {
          const heads = (await original.apply(this, args)) as InboxHeads | undefined;
          if (heads === undefined) return undefined;
          return { ...heads, items: heads.items.filter(({ spans }) => spans.at(-1)?.to === undefined) };
        };
      }),
  },
  {
    name: 'resync',
    without: '`resync` after pushes were dropped for a slow reader',
    patch: () => patched(OutboundQueue, 'tellMoved', nothing),
  },
  {
    name: 'device-dedupe',
    without: 'the dedupe by seq in the device',
    patch: () =>
      patched(Synchronizer, 'accept', () => {
        return function (this: never, frame: never, from: never = 'push' as never) {
          const { conversationId, seq } = (
            frame as { readonly data: { conversationId: string; seq: number } }
          ).data;
          const { seen, io } = this as {
            readonly seen: { set(id: string, seq: number): void };
            readonly io: { event(frame: never, from: never): void };
          };
          seen.set(conversationId, seq);
          io.event(frame, from);
        };
      }),
  },
  {
    name: 'device-hold-back',
    without: 'the order in the device: a push is taken at once, whatever a sync has still to bring',
    patch: () =>
      patched(Synchronizer, 'push', () => {
        return function (this: never, frame: never) {
          (this as { accept(frame: never): void }).accept(frame);
        };
      }),
  },
];
