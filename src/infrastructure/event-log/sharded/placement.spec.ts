import { createHash } from 'node:crypto';
import { conversationStream, snapshotStream } from '../../../domain/conversation/streams';
import { asConversationId } from '../../../kernel/ids';
import { uuidv7 } from '../../../kernel/uuid';
import { jumpHash, shardOfStream } from './placement';

describe('jumpHash', () => {
  // As other implementations of the paper give them.
  it.each([
    [1n, 1, 0],
    [42n, 57, 43],
    [0xdead10ccn, 1, 0],
    [0xdead10ccn, 666, 361],
    [256n, 1024, 520],
    [0n, 1, 0],
  ])('puts %d of %d buckets into %d', (key, buckets, bucket) => {
    expect(jumpHash(key, buckets)).toBe(bucket);
  });

  it('takes all 64 bits of a key', () => {
    const all = (1n << 64n) - 1n;
    expect(jumpHash(all, 1_000)).not.toBe(jumpHash(all >> 1n, 1_000));
  });

  it('moves keys only to the bucket that is new, and its share of them', () => {
    const keys = Array.from({ length: 5_000 }, (_, n) =>
      createHash('sha256').update(String(n)).digest().readBigUInt64BE(),
    );
    for (let buckets = 1; buckets < 8; buckets++) {
      const moved = keys.filter((key) => jumpHash(key, buckets) !== jumpHash(key, buckets + 1));
      for (const key of moved) expect(jumpHash(key, buckets + 1)).toBe(buckets);
      const share = moved.length / keys.length;
      expect(share).toBeGreaterThan(0.8 / (buckets + 1));
      expect(share).toBeLessThan(1.2 / (buckets + 1));
    }
  });
});

describe('shardOfStream', () => {
  // Written down once, for ever: a conversation that is looked for elsewhere is lost.
  it.each([
    ['conversation-0190d3c4-0000-7000-8000-000000000001', [0, 1, 2, 2, 2, 2, 14]],
    ['conversation-0190d3c4-0000-7000-8000-000000000002', [0, 0, 0, 0, 0, 5, 5]],
    ['conversation-6f1c9f3e-94a5-5b0a-8f7e-2d3a4b5c6d7e', [0, 0, 0, 0, 4, 7, 7]],
    ['parley-anything', [0, 1, 1, 3, 3, 5, 5]],
  ])('places %s for ever', (stream, places) => {
    expect([1, 2, 3, 4, 5, 8, 16].map((shards) => shardOfStream(stream, shards))).toEqual(places);
  });

  it('places a snapshot with its conversation', () => {
    for (let n = 0; n < 200; n++) {
      const id = asConversationId(uuidv7());
      expect(shardOfStream(snapshotStream(id), 7)).toBe(shardOfStream(conversationStream(id), 7));
    }
  });

  it('spreads conversations evenly', () => {
    const counts = [0, 0, 0];
    for (let n = 0; n < 6_000; n++) {
      const shard = shardOfStream(conversationStream(asConversationId(uuidv7())), 3);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(300);
  });
});
