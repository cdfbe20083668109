import type { Contestant } from './contestants';
import { guard, judge } from './guard';
import type { Case, Metrics } from './scenario';

const cost = { name: 'µs', recorded: 3, margin: 2 };

describe('the guard', () => {
  it.each([
    ['a cost at its bound', 60, 10, true],
    ['a cost over it', 60.1, 10, false],
    ['a floor that did nothing', 10, 0, false],
    ['a server that did nothing', 0, 10, false],
    ['a metric that is not there', Number.NaN, 10, false],
  ])('judges %s', (_what, ours, theirs, stands) => {
    expect(judge(cost, ours, theirs).stands).toBe(stands);
  });

  it('fails when one of several shares does', async () => {
    const of: Case = { name: 'a case', hasFloor: true, run: () => Promise.resolve({}) };
    const always = (metrics: Metrics): Contestant => ({ name: '', run: () => Promise.resolve(metrics) });
    const guarded = ['cheap', 'dear'].map((name) => ({
      ...cost,
      name,
      ours: (metrics: Metrics) => metrics[name] ?? 0,
      floor: (metrics: Metrics) => metrics['µs'] ?? 0,
    }));
    const { lines, stands } = await guard(
      [{ of, guarded }],
      always({ cheap: 6, dear: 70 }),
      always({ µs: 10 }),
      1,
    );
    expect(lines.map((line) => line.slice(0, 13))).toEqual(['ok     cheap:', 'FAILED dear: ']);
    expect(stands).toBe(false);
  });
});
