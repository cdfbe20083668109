import { canonicalJson } from '../../kernel/json';
import type { ConversationStarted } from './events';

/**
 * 53 bits over the text (cyrb53, public domain): tells a repeated start from another one without keeping a
 * thousand ids. Nothing but the wording of an answer hangs on it, so a collision does no harm.
 */
function hash53(text: string): string {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (4_294_967_296 * (2_097_151 & low) + (high >>> 0)).toString(36);
}

/** What was started, whatever order its members were named in. */
export const fingerprintOf = ({ kind, title, memberIds, settings }: ConversationStarted): string =>
  hash53(canonicalJson({ kind, title, memberIds: [...memberIds].sort(), settings }));
