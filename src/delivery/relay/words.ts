import type { UserId } from '../../kernel/ids';

/** Users in one message of a node about who is there. */
export const INTEREST_USERS_EACH_MAX = 2_000;
/** Users of one node that a relay keeps; a node with more follows the log by itself. */
export const INTEREST_USERS_MAX = 200_000;

/** What a relay tells all nodes again and again while it has something to tell: that it is there, or that it ends. */
export interface Announcement {
  readonly kind: 'announcement';
  readonly shard: number;
  readonly term: number;
  readonly ends?: boolean;
}

/** What a node tells a relay about the users who have sockets there. Each change has a version of its own. */
export type NodeWord =
  | { readonly kind: 'here'; readonly node: string }
  | { readonly kind: 'gone'; readonly node: string }
  /** All users, as of a version, in parts that are counted from 0. */
  | {
      readonly kind: 'whole';
      readonly node: string;
      readonly version: number;
      readonly part: number;
      readonly parts: number;
      readonly users: readonly UserId[];
    }
  /** What makes this version of the one before. */
  | {
      readonly kind: 'change';
      readonly node: string;
      readonly version: number;
      readonly came: readonly UserId[];
      readonly went: readonly UserId[];
    };

export const write = (word: Announcement | NodeWord): Buffer => Buffer.from(JSON.stringify(word));

/** Words begin with a brace, batches with a length that is far below what a brace would make of it. */
export const isWord = (payload: Buffer): boolean => payload[0] === 0x7b;

/** @throws SyntaxError when it is no JSON */
export function readAnnouncement(payload: Buffer): Announcement | undefined {
  const word = JSON.parse(payload.toString()) as Partial<Announcement>;
  const isWhole = Number.isSafeInteger(word.shard) && Number.isSafeInteger(word.term);
  return word.kind === 'announcement' && isWhole ? (word as Announcement) : undefined;
}

/** Nodes of a later version may say what this one does not understand. @throws SyntaxError when it is no JSON */
export function readNodeWord(payload: Buffer): NodeWord | undefined {
  const word = JSON.parse(payload.toString()) as NodeWord;
  if (typeof word.node !== 'string') return undefined;
  switch (word.kind) {
    case 'here':
    case 'gone':
      return word;
    case 'whole':
      return Number.isSafeInteger(word.version) && areUsers(word.users) ? word : undefined;
    case 'change':
      return Number.isSafeInteger(word.version) && areUsers(word.came) && areUsers(word.went)
        ? word
        : undefined;
    default:
      return undefined;
  }
}

const areUsers = (users: unknown): boolean =>
  Array.isArray(users) && users.every((userId) => typeof userId === 'string');
