import { hash } from 'node:crypto';
import { conversationOfSnapshot, conversationOfStream } from '../../../domain/conversation/streams';

const MASK_64 = (1n << 64n) - 1n;
/** Of the generator in the paper; any other number places every conversation elsewhere. */
const MULTIPLIER = 2_862_933_555_777_941_757n;

/**
 * Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): spreads keys
 * evenly over 0..buckets-1, and one bucket more takes 1/(buckets+1) of the keys, all of them to itself.
 *
 * @param key 64 bits, unsigned
 */
export function jumpHash(key: bigint, buckets: number): number {
  let state = key;
  let bucket = 0;
  for (let next = 0; next < buckets;) {
    bucket = next;
    state = (state * MULTIPLIER + 1n) & MASK_64;
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

/**
 * The shard in which a stream lies, of so many: jump hash of the first 64 bits, the most significant first, of SHA-256
 * over the conversation's id as UTF-8; a snapshot lies with its conversation, and any other stream where its whole name
 * puts it. These rules are for ever: another one would look for conversations where they are not.
 */
export function shardOfStream(stream: string, shards: number): number {
  const key = conversationOfStream(stream) ?? conversationOfSnapshot(stream) ?? stream;
  return jumpHash(hash('sha256', key, 'buffer').readBigUInt64BE(), shards);
}
