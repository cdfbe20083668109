import { asDeviceId, asSeq, type DeviceId, type Seq, type UserId } from '../../kernel/ids';
import type { DeliveredCursor, MessageDelivered, MessageRead, ReadCursor } from './events';
import { ByteReader, pushVarint } from './varints';

/**
 * Cursors of large groups as they are stored (docs/adr/0017): a thousand of them in full are 100 KB, packed they
 * are 3 KB (read) or 7 KB (delivered). A user stands for the last 24 bits of their id, which the writer has made
 * sure are nobody else's in the group at that seq, and a device for 24 bits of a hash of its id.
 *
 * The form: base64 of groups by cursor, ascending; of each group the step from the cursor before it and the number
 * of entries; of each entry, ascending by user, the step from the user before it and, for delivered, the device in
 * three bytes. Steps and numbers are varints (seven bits a byte, lowest first).
 */
export interface PackedEntry {
  readonly user: number;
  /** Only in delivered cursors. */
  readonly device?: number;
  readonly upTo: Seq;
}

const USER = /[0-9a-f]{6}$/;
const DEVICE_BYTES = 3;

/** The last 24 bits of a user's id; undefined for an id that does not end in six hex digits. */
export function userTagOf(userId: UserId): number | undefined {
  const digits = USER.exec(userId)?.[0];
  return digits === undefined ? undefined : parseInt(digits, 16);
}

/** 24 bits of FNV-1a over the id. Two devices of one user that share them share a delivered cursor. */
export function deviceTagOf(deviceId: DeviceId): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < deviceId.length; n++) hash = Math.imul(hash ^ deviceId.charCodeAt(n), 0x01000193) >>> 0;
  return (hash >>> 24) ^ (hash & 0xffffff);
}

/** What a device is called where only its tag is known; no device can be named so, for `~` is in no id. */
export const deviceAliasOf = (tag: number): DeviceId => asDeviceId(`~${tag.toString(16).padStart(6, '0')}`);

/** Tags that exactly one of these users has. */
export function uniqueTags(userIds: Iterable<UserId>): ReadonlySet<number> {
  const unique = new Set<number>();
  const shared = new Set<number>();
  for (const userId of userIds) {
    const tag = userTagOf(userId);
    if (tag === undefined || shared.has(tag)) continue;
    if (unique.delete(tag)) shared.add(tag);
    else unique.add(tag);
  }
  return unique;
}

export function pack(entries: readonly PackedEntry[]): string {
  const sorted = [...entries].sort(
    (a, b) => a.upTo - b.upTo || a.user - b.user || (a.device ?? 0) - (b.device ?? 0),
  );
  const bytes: number[] = [];
  let cursor = 0;
  for (let begin = 0; begin < sorted.length;) {
    const { upTo } = sorted[begin] as PackedEntry;
    let end = begin;
    while (sorted[end]?.upTo === upTo) end++;
    pushVarint(bytes, upTo - cursor);
    pushVarint(bytes, end - begin);
    let user = 0;
    for (const entry of sorted.slice(begin, end)) {
      pushVarint(bytes, entry.user - user);
      user = entry.user;
      if (entry.device !== undefined) pushDevice(bytes, entry.device);
    }
    cursor = upTo;
    begin = end;
  }
  return Buffer.from(bytes).toString('base64');
}

/** Inverse of {@link pack}, in its order. @throws Error for a text that it did not write */
export function unpack(packed: string, has: 'devices' | 'usersOnly'): readonly PackedEntry[] {
  const bytes = new ByteReader(Buffer.from(packed, 'base64'));
  const entries: PackedEntry[] = [];
  let cursor = 0;
  while (!bytes.isAtEnd) {
    cursor += bytes.varint();
    let user = 0;
    for (let left = bytes.varint(); left > 0; left--) {
      user += bytes.varint();
      const upTo = asSeq(cursor);
      entries.push(has === 'devices' ? { user, device: bytes.fixed(DEVICE_BYTES), upTo } : { user, upTo });
    }
  }
  return entries;
}

/** All cursors of the event in full. `members`: those at its seq. */
export function readCursorsOf(event: MessageRead, members: Iterable<UserId>): readonly ReadCursor[] {
  if (event.packed === undefined) return event.cursors;
  const upTo = packedReads(event, event.packed);
  const cursors = [...event.cursors];
  for (const userId of members) {
    const known = upTo.get(userTagOf(userId) ?? -1);
    if (known !== undefined) cursors.push({ userId, upTo: known });
  }
  return cursors;
}

/** The event's cursor of one who is a member at its seq, if it has one. */
export function readCursorOf(event: MessageRead, userId: UserId): ReadCursor | undefined {
  const inFull = event.cursors.find((cursor) => cursor.userId === userId);
  if (inFull !== undefined || event.packed === undefined) return inFull;
  const upTo = packedReads(event, event.packed).get(userTagOf(userId) ?? -1);
  return upTo === undefined ? undefined : { userId, upTo };
}

/** As {@link readCursorsOf}; devices of packed cursors go by their aliases. */
export function deliveredCursorsOf(
  event: MessageDelivered,
  members: Iterable<UserId>,
): readonly DeliveredCursor[] {
  if (event.packed === undefined) return event.cursors;
  const byUser = new Map<number, PackedEntry[]>();
  for (const entry of unpack(event.packed, 'devices')) {
    const known = byUser.get(entry.user);
    if (known === undefined) byUser.set(entry.user, [entry]);
    else known.push(entry);
  }
  const cursors = [...event.cursors];
  for (const userId of members) {
    for (const { device = 0, upTo } of byUser.get(userTagOf(userId) ?? -1) ?? []) {
      cursors.push({ userId, deviceId: deviceAliasOf(device), upTo });
    }
  }
  return cursors;
}

/** How far the furthest of the event's cursors reaches; -1: it has none. */
export function reachOf(event: MessageDelivered | MessageRead): number {
  const inFull = event.cursors.reduce((furthest, { upTo }) => Math.max(furthest, upTo), -1);
  const has = event.type === 'MessageDelivered' ? 'devices' : 'usersOnly';
  // Ascending: the last one reaches furthest.
  return Math.max(inFull, unpack(event.packed ?? '', has).at(-1)?.upTo ?? -1);
}

/** A thousand receivers look for their own cursor in the same event: it is unpacked for the first of them. */
const unpackedReads = new WeakMap<MessageRead, ReadonlyMap<number, Seq>>();

function packedReads(event: MessageRead, packed: string): ReadonlyMap<number, Seq> {
  let reads = unpackedReads.get(event);
  if (reads === undefined) {
    reads = new Map(unpack(packed, 'usersOnly').map(({ user, upTo }) => [user, upTo]));
    unpackedReads.set(event, reads);
  }
  return reads;
}

function pushDevice(bytes: number[], tag: number): void {
  bytes.push(tag >>> 16, (tag >>> 8) & 0xff, tag & 0xff);
}
