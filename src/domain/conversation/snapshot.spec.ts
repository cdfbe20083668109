import { randomUUID } from 'node:crypto';
import { CONVERSATION, groupStarted, membership, stateAfter } from '../../../test/support/given-conversation';
import {
  asClientMessageId,
  asDeviceId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
  type UserId,
} from '../../kernel/ids';
import type { ConversationEvent } from './events';
import { fromSnapshot, toSnapshot } from './snapshot';
import {
  DEDUPE_WINDOW_MAX,
  DELETED_RANGES_MAX,
  DELIVERED_DEVICES_MAX,
  DEPARTED_MAX,
  MEMBERS_MAX,
  REACTIONS_MAX,
  VERSIONS_MAX,
  type ConversationState,
  type Member,
} from './state';

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));
const newUser = (): UserId => asUserId(randomUUID());

/** Ten thousand members with everything full, and with names as long as the protocol lets them be. */
function fullState(): ConversationState {
  const members = many(MEMBERS_MAX - 1, newUser);
  const someone = (index: number): UserId => members[index % members.length] as UserId;
  const owner = newUser();
  const far = 10 ** 9;
  const events: ConversationEvent[] = [
    groupStarted({ by: owner, memberIds: [owner, ...members], title: 'T'.repeat(256) }),
    {
      type: 'ConversationChanged',
      by: owner,
      description: 'D'.repeat(4_096),
      avatarFileId: randomUUID() as never,
    },
    ...many(DEPARTED_MAX, newUser).flatMap((userId) => [
      membership(owner, userId, 'joined', 'member'),
      membership(owner, userId, 'removed'),
    ]),
    ...many(DEDUPE_WINDOW_MAX + 1, (at) => ({
      type: 'MessageSent' as const,
      by: someone(at),
      messageId: asMessageId(randomUUID()),
      clientMessageId: asClientMessageId(String(at).padStart(64, 'k')),
      ordinal: asOrdinal(far + at),
      content: { type: 'text', body: 'never stored in a state' },
      contentHash: 'f'.repeat(64),
    })),
    {
      type: 'MessageDelivered',
      by: owner,
      cursors: many(DELIVERED_DEVICES_MAX, (at) => ({
        userId: someone(at),
        deviceId: asDeviceId(String(at).padStart(64, 'd')),
        upTo: asSeq(far + at),
      })),
      audience: 'concerned',
    },
    {
      type: 'MessageRead',
      by: owner,
      cursors: members.map((userId) => ({ userId, upTo: asSeq(far) })),
      audience: 'concerned',
    },
    ...many(DELETED_RANGES_MAX, (at) => ({
      type: 'MessageDeleted' as const,
      by: owner,
      target: asSeq(far + 2 * at),
    })),
    ...many(VERSIONS_MAX, (at) => ({
      type: 'MessageEdited' as const,
      by: owner,
      target: asSeq(far + at),
      content: { type: 'text' },
      version: 999,
    })),
    ...many(REACTIONS_MAX, (at) => ({
      type: 'ReactionChanged' as const,
      by: someone(at),
      target: asSeq(far + at),
      emoji: '漢'.repeat(64),
      change: 'added' as const,
    })),
  ];
  return stateAfter(events) as ConversationState;
}

describe('a snapshot', () => {
  const state = fullState();
  const stored = JSON.stringify(toSnapshot(state, 'a'.repeat(64)));

  it('is below one append, for ten thousand members and full windows', () => {
    expect([
      state.members.size,
      state.departed.size,
      state.recent.size,
      state.delivered.size,
      state.deleted.size,
      state.versions.size,
      state.reactions.size,
    ]).toEqual([
      MEMBERS_MAX,
      DEPARTED_MAX,
      DEDUPE_WINDOW_MAX,
      DELIVERED_DEVICES_MAX,
      DELETED_RANGES_MAX,
      VERSIONS_MAX,
      REACTIONS_MAX,
    ]);
    expect(Buffer.byteLength(stored)).toBeLessThan(1_048_576 - 4_096);
  });

  it('gives back the state and the hash', () => {
    expect(fromSnapshot(JSON.parse(stored))).toEqual({ state, hash: 'a'.repeat(64) });
    expect(state.conversationId).toBe(CONVERSATION);
  });

  it('gives back members whose ids are no UUIDs, and times from before the beginning', () => {
    const odd = stateAfter([
      groupStarted({ memberIds: [asUserId('a'), asUserId('b')] }),
    ]) as ConversationState;
    const [first] = odd.members.keys();
    const member = {
      ...(odd.members.first() as Member),
      joinedAt: asMillis(odd.createdAt - 5),
      droppedBirth: 0,
    };
    const members = odd.members.set(first as UserId, { ...member, role: 'admin', readUpTo: asSeq(2 ** 40) });
    const json = JSON.stringify(toSnapshot({ ...odd, members }, 'b'));
    expect(fromSnapshot(JSON.parse(json))).toEqual({ state: { ...odd, members }, hash: 'b' });
  });

  it('of another format is no snapshot', () => {
    expect(fromSnapshot({ ...(JSON.parse(stored) as object), format: 0 })).toBeUndefined();
    for (const other of [undefined, null, 'text', 1, {}]) expect(fromSnapshot(other)).toBeUndefined();
  });
});
