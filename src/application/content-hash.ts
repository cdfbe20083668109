import { hash } from 'node:crypto';
import type { SendMessage } from '../domain/conversation/commands';
import { canonicalJson } from '../kernel/json';

/**
 * SHA-256, hex, over the canonical JSON of all that the sender chose: a retry has the same one, a key that is
 * used for something else has another. `originalAt` is left out: where a message was imported from may
 * tell its time differently the second time, and it is still the same message.
 */
export function contentHash(
  chosen: Pick<SendMessage, 'content' | 'replyTo' | 'threadOf' | 'forwardedFrom' | 'mentions'>,
): string {
  const { content, replyTo, threadOf, forwardedFrom, mentions } = chosen;
  return hash('sha256', canonicalJson({ content, forwardedFrom, mentions, replyTo, threadOf }), 'hex');
}
