import * as fc from 'fast-check';
import { asClientMessageId, asMessageId, asMillis, asOrdinal, asSeq, asUserId } from '../../kernel/ids';
import { RecentMessages } from './recent-messages';
import type { RecentMessage } from './state';

const entry = (by: string, key: string, seq: number): RecentMessage => ({
  by: asUserId(by),
  clientMessageId: asClientMessageId(key),
  messageId: asMessageId(`m${seq}`),
  seq: asSeq(seq),
  ordinal: asOrdinal(seq),
  at: asMillis(seq),
  contentHash: `hash-${seq}`,
});

const filled = (count: number, max: number): RecentMessages => {
  let recent = RecentMessages.of([]);
  for (let seq = 0; seq < count; seq++) ({ recent } = recent.add(entry('ann', `k${seq}`, seq), max));
  return recent;
};
const find = (recent: RecentMessages, key: string): number | undefined =>
  recent.find(asUserId('ann'), asClientMessageId(key))?.seq;

describe('RecentMessages', () => {
  it('holds max entries, and names the one that leaves', () => {
    const full = filled(3, 3);
    expect([full.size, full.oldest?.seq, full.newest?.seq]).toEqual([3, 0, 2]);
    const { recent, left } = full.add(entry('ann', 'k3', 3), 3);
    expect([recent.size, recent.oldest?.seq, recent.newest?.seq, left?.seq]).toEqual([3, 1, 3, 0]);
    expect([find(recent, 'k0'), find(recent, 'k1')]).toEqual([undefined, 1]);
  });

  it('lets an older version go on to see what it saw, whatever was made of it', () => {
    const older = filled(3, 3);
    const newer = older.add(entry('ann', 'k3', 3), 3).recent;
    expect([find(older, 'k0'), find(older, 'k3')]).toEqual([0, undefined]);
    const other = older.add(entry('ann', 'x', 3), 3).recent;
    expect([find(other, 'k3'), find(other, 'x'), find(newer, 'x'), find(newer, 'k3')]).toEqual([
      undefined,
      3,
      undefined,
      3,
    ]);
  });

  it('forgets what has left, now and then', () => {
    const held = Array.from({ length: 100 }, (_, count) => filled(count, 10).held);
    expect(Math.max(...held)).toBe(20);
  });

  it('tells the same key of two people apart', () => {
    const { recent } = filled(1, 3).add(entry('bob', 'k0', 1), 3);
    expect(find(recent, 'k0')).toBe(0);
  });

  /** Versions are made of any earlier one, as a plan that failed makes them; each must equal a plain list. */
  it('equals a list of its own in every version', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const step = fc.record({ from: fc.nat(1_000), by: fc.constantFrom('ann', 'bob'), key });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (max, steps) => {
        const versions = [{ recent: RecentMessages.of([]), model: [] as RecentMessage[] }];
        steps.forEach(({ from, by, key: name }, seq) => {
          // Mostly the newest, as in life.
          const back = from % 3 === 0 ? from % versions.length : 0;
          const { recent, model } = versions[versions.length - 1 - back] as (typeof versions)[0];
          const added = entry(by, name, seq);
          const after = recent.add(added, max);
          expect(after.left).toEqual(model.length >= max ? model[0] : undefined);
          versions.push({ recent: after.recent, model: [...model, added].slice(-max) });
        });
        for (const { recent, model } of versions) {
          expect([...recent]).toEqual(model);
          expect([recent.size, recent.oldest, recent.newest]).toEqual([model.length, model[0], model.at(-1)]);
          for (const by of ['ann', 'bob'].map(asUserId)) {
            for (const name of ['a', 'b', 'c', 'd', 'e', 'f'].map(asClientMessageId)) {
              const last = model.findLast((one) => one.by === by && one.clientMessageId === name);
              expect(recent.find(by, name)).toEqual(last);
            }
          }
        }
      }),
    );
  });
});
