import { asMillis, asSeq, asUserId, type Millis, type Seq, type UserId } from '../../kernel/ids';
import type { Role } from './events';
import type { Member } from './state';
import { ByteReader, pushSigned, pushVarint } from './varints';

const ROLES: readonly Role[] = ['member', 'admin', 'owner'];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_BYTES = 16;

/** Ten thousand ids are 210 KB in this form, and 390 KB as they are. */
export function packUsers(users: readonly UserId[]): string | readonly UserId[] {
  if (!users.every((userId) => UUID.test(userId))) return users;
  return Buffer.from(users.join('').replaceAll('-', ''), 'hex').toString('base64');
}

export function unpackUsers(packed: string | readonly UserId[]): readonly UserId[] {
  if (typeof packed !== 'string') return packed;
  const hex = Buffer.from(packed, 'base64').toString('hex');
  const users: UserId[] = [];
  for (let at = 0; at < hex.length; at += 2 * UUID_BYTES) {
    const part = (from: number, to: number): string => hex.slice(at + from, at + to);
    users.push(asUserId(`${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`));
  }
  return users;
}

/** Times are stored as distances from `createdAt`: short for most, and possibly negative, for clocks may go back. */
export function packMembers(members: Iterable<Member>, createdAt: Millis): string {
  const bytes: number[] = [];
  for (const member of members) {
    bytes.push(ROLES.indexOf(member.role));
    pushVarint(bytes, member.joinedSeq);
    pushSigned(bytes, member.joinedAt - createdAt);
    pushVarint(bytes, member.readUpTo + 1);
    pushVarint(bytes, member.deliveredUpTo + 1);
    pushVarint(bytes, member.droppedBirth === -1 ? 0 : 1);
    if (member.droppedBirth !== -1) pushSigned(bytes, member.droppedBirth - createdAt);
  }
  return Buffer.from(bytes).toString('base64');
}

/** Inverse of {@link packMembers}, in its order. */
export function unpackMembers(packed: string, createdAt: Millis): readonly Member[] {
  const bytes = new ByteReader(Buffer.from(packed, 'base64'));
  const cursor = (): Seq | -1 => {
    const next = bytes.varint();
    return next === 0 ? -1 : asSeq(next - 1);
  };
  const members: Member[] = [];
  while (!bytes.isAtEnd) {
    members.push({
      role: ROLES[bytes.fixed(1)] as Role,
      joinedSeq: asSeq(bytes.varint()),
      joinedAt: asMillis(createdAt + bytes.signed()),
      readUpTo: cursor(),
      deliveredUpTo: cursor(),
      droppedBirth: bytes.varint() === 0 ? -1 : createdAt + bytes.signed(),
    });
  }
  return members;
}
