import { createHash } from 'node:crypto';
import {
  asClientMessageId,
  asConversationId,
  asMessageId,
  asUserId,
  type ClientMessageId,
  type ConversationId,
  type MessageId,
  type UserId,
} from '../../src/kernel/ids';
import { canonicalJson } from '../../src/kernel/json';
import { uuidv5 } from '../../src/kernel/uuid';

/** Everything below follows from names alone, so that every run, anywhere, makes the same ids. */
const NAMESPACE = '5b1d9a3e-6c1f-5f0a-9d53-0f4f7f1f3c90';

export const IMPORTER_NAME = 'irc-import';
export const IMPORTER_ID: UserId = asUserId(uuidv5('importer', NAMESPACE));

/** A nick is a user: exact, as the log spells it. */
export const nickId = (nick: string): UserId => asUserId(uuidv5(`nick/${nick}`, NAMESPACE));

/** `of`: the file's name, or with `--into` the title. */
export const conversationIdOf = (kind: 'file' | 'title', of: string): ConversationId =>
  asConversationId(uuidv5(`${kind}/${of}`, NAMESPACE));

/** Names one step of an import for ever; the log keeps it as the correlation id of the step's event. */
export const stepId = (file: string, line: number, what: string): string =>
  uuidv5(`step/${file}/${line}/${what}`, NAMESPACE);

export const messageIdOf = (conversationId: ConversationId, key: ClientMessageId): MessageId =>
  asMessageId(uuidv5(`message/${conversationId}/${key}`, NAMESPACE));

/**
 * A UUIDv7 born at the time the message was said, with bits from file and line where others have random ones:
 * births rise with the lines, so the dedupe window decides alone, and every run makes the same key.
 */
export function messageKey(file: string, line: number, birthMs: number): ClientMessageId {
  const bits = createHash('sha256').update(`${file}\n${line}`).digest();
  const time = birthMs.toString(16).padStart(12, '0');
  const tail = bits.toString('hex');
  const variant = ((bits[8] ?? 0) & 0x3f) | 0x80;
  const groups = [
    time.slice(0, 8),
    time.slice(8),
    `7${tail.slice(0, 3)}`,
    `${variant.toString(16)}${tail.slice(4, 6)}`,
    tail.slice(18, 30),
  ];
  return asClientMessageId(groups.join('-'));
}

/**
 * Tells a repeated message from another one under its key. Nobody but an import knows these keys, so no other
 * way of sending has to agree with it.
 */
export const contentHashOf = (message: object): string =>
  createHash('sha256').update(canonicalJson(message)).digest('hex');
