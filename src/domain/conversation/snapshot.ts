import { List, Map, OrderedMap } from 'immutable';
import {
  asSeq,
  type ClientMessageId,
  type ConversationId,
  type DeviceId,
  type MessageId,
  type Millis,
  type Ordinal,
  type Seq,
  type UserId,
} from '../../kernel/ids';
import { BoundedMap } from './bounded-map';
import { RecentMessages } from './recent-messages';
import { deliveredKey, reactionKey } from './keys';
import type { ConversationKind, ConversationSettings } from './events';
import { packMembers, packUsers, unpackMembers, unpackUsers } from './snapshot-members';
import {
  DELIVERED_DEVICES_MAX,
  REACTIONS_MAX,
  VERSIONS_MAX,
  type ConversationState,
  type RecentMessage,
} from './state';

/**
 * Raised with every change of {@link StoredSnapshot} or of what evolve computes: older ones are then ignored.
 */
const FORMAT = 2;

/**
 * The stored form. Rows instead of objects, users by their place in `users`, and bytes for members, because a group
 * of ten thousand with full windows must fit into one append (1 MiB).
 */
interface StoredSnapshot {
  readonly format: typeof FORMAT;
  /** Audit chain's hash of the event at `head`: what the next event is chained to. */
  readonly hash: string;
  readonly conversationId: ConversationId;
  readonly kind: ConversationKind;
  readonly title?: string;
  readonly description?: string;
  readonly avatarFileId?: string;
  readonly settings: ConversationSettings;
  readonly createdAt: Millis;
  readonly startedBy: UserId;
  readonly startedAs: string;
  readonly head: Seq;
  readonly lastOrdinal: Ordinal | 0;
  /** UUIDs, in sixteen bytes each, base64; as they are when one of them is none. */
  readonly users: string | readonly UserId[];
  /** The first of `users`, packed (snapshot-members.ts). */
  readonly members: string;
  /** user, droppedBirth; first departed first */
  readonly departed: readonly (readonly [number, number])[];
  readonly blockers: readonly number[];
  /** user, device, upTo; oldest first */
  readonly delivered: readonly (readonly [number, DeviceId, Seq])[];
  /** user, clientMessageId, messageId, seq, ordinal, at, contentHash; oldest first */
  readonly window: readonly (readonly [number, ClientMessageId, MessageId, Seq, Ordinal, Millis, string])[];
  readonly droppedUpTo: Seq | -1;
  readonly departedBirth: number;
  readonly deleted: readonly (readonly [Seq, Seq])[];
  readonly versions: readonly (readonly [Seq, number])[];
  readonly versionFloor: number;
  /** target, user, emoji, is it on; oldest first */
  readonly reactions: readonly (readonly [Seq, number, string, 0 | 1])[];
}

/** Numbers users in the order in which they are met. */
class UserTable {
  readonly users: UserId[] = [];
  private readonly places = new globalThis.Map<UserId, number>();

  placeOf(userId: UserId): number {
    const known = this.places.get(userId);
    if (known !== undefined) return known;
    this.places.set(userId, this.users.length);
    return this.users.push(userId) - 1;
  }
}

/**
 * The state as plain JSON, with the audit chain's `hash` of the event at its head. Bounded like the state:
 * below 1 MiB also for ten thousand members with every window full.
 */
export function toSnapshot(state: ConversationState, hash: string): object {
  const table = new UserTable();
  // Members come first, in the order of their rows.
  for (const userId of state.members.keys()) table.placeOf(userId);
  const { title, description, avatarFileId } = state;
  const rows = rowsOf(state, table);
  return {
    format: FORMAT,
    hash,
    conversationId: state.conversationId,
    kind: state.kind,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(avatarFileId === undefined ? {} : { avatarFileId }),
    settings: state.settings,
    createdAt: state.createdAt,
    startedBy: state.startedBy,
    startedAs: state.startedAs,
    head: state.head,
    lastOrdinal: state.lastOrdinal,
    droppedUpTo: state.droppedUpTo,
    departedBirth: state.departedBirth,
    deleted: state.deleted.toArray(),
    versions: state.versions.entries(),
    versionFloor: state.versionFloor,
    ...rows,
    users: packUsers(table.users),
  } satisfies StoredSnapshot;
}

type Rows = Pick<StoredSnapshot, 'members' | 'departed' | 'blockers' | 'delivered' | 'window' | 'reactions'>;

function rowsOf(state: ConversationState, table: UserTable): Rows {
  return {
    members: packMembers(state.members.values(), state.createdAt),
    departed: Array.from(state.departed, ([userId, birth]) => [table.placeOf(userId), birth]),
    blockers: Array.from(state.blockers.keys(), (userId) => table.placeOf(userId)),
    delivered: state.delivered.entries().map(([key, upTo]) => {
      // Ids of users hold no slash; ids of devices neither (PROTOCOL.md section 1), but only one is needed.
      const slash = key.indexOf('/');
      return [table.placeOf(key.slice(0, slash) as UserId), key.slice(slash + 1) as DeviceId, upTo];
    }),
    window: Array.from(state.recent, ({ by, clientMessageId, messageId, seq, ordinal, at, contentHash }) => [
      table.placeOf(by),
      clientMessageId,
      messageId,
      seq,
      ordinal,
      at,
      contentHash,
    ]),
    reactions: state.reactions.entries().map(([key, on]) => {
      const first = key.indexOf('/');
      const second = key.indexOf('/', first + 1);
      const userId = key.slice(first + 1, second) as UserId;
      return [asSeq(Number(key.slice(0, first))), table.placeOf(userId), key.slice(second + 1), on ? 1 : 0];
    }),
  };
}

/**
 * Inverse of {@link toSnapshot}; undefined for another format, from which the whole stream is folded anew.
 */
export function fromSnapshot(
  json: unknown,
): { readonly state: ConversationState; readonly hash: string } | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  if ((json as { format?: unknown }).format !== FORMAT) return undefined;
  // Written by toSnapshot in this very format: the shape is ours.
  const stored = json as StoredSnapshot;
  const { title, description, avatarFileId } = stored;
  return {
    hash: stored.hash,
    state: {
      conversationId: stored.conversationId,
      kind: stored.kind,
      title,
      description,
      avatarFileId,
      settings: stored.settings,
      createdAt: stored.createdAt,
      startedBy: stored.startedBy,
      startedAs: stored.startedAs,
      head: stored.head,
      lastOrdinal: stored.lastOrdinal,
      droppedUpTo: stored.droppedUpTo,
      departedBirth: stored.departedBirth,
      deleted: List(stored.deleted),
      versions: BoundedMap.of(VERSIONS_MAX, stored.versions),
      versionFloor: stored.versionFloor,
      ...collectionsOf(stored),
    },
  };
}

type Collections = Pick<
  ConversationState,
  'members' | 'departed' | 'blockers' | 'delivered' | 'recent' | 'reactions'
>;

function collectionsOf(stored: StoredSnapshot): Collections {
  const users = unpackUsers(stored.users);
  const userAt = (place: number): UserId => users[place] as UserId;
  return {
    members: Map(
      unpackMembers(stored.members, stored.createdAt).map((member, place) => [userAt(place), member]),
    ),
    departed: OrderedMap(stored.departed.map(([place, birth]) => [userAt(place), birth])),
    blockers: Map(stored.blockers.map((place) => [userAt(place), true as const])),
    delivered: BoundedMap.of(
      DELIVERED_DEVICES_MAX,
      stored.delivered.map(([place, device, upTo]) => [deliveredKey(userAt(place), device), upTo]),
    ),
    recent: RecentMessages.of(stored.window.map(windowEntryOf(userAt))),
    reactions: BoundedMap.of(
      REACTIONS_MAX,
      stored.reactions.map(([target, place, emoji, on]) => [
        reactionKey(target, userAt(place), emoji),
        on === 1,
      ]),
    ),
  };
}

const windowEntryOf =
  (userAt: (place: number) => UserId) =>
  ([
    place,
    clientMessageId,
    messageId,
    seq,
    ordinal,
    at,
    contentHash,
  ]: StoredSnapshot['window'][number]): RecentMessage => ({
    by: userAt(place),
    clientMessageId,
    messageId,
    seq,
    ordinal,
    at,
    contentHash,
  });
