import { judge } from './guard';

const throughput = { metric: 'acks/s', recorded: 0.4, margin: 4, isBetter: 'higher' } as const;
const cost = { metric: 'µs', recorded: 3, margin: 2, isBetter: 'lower' } as const;

describe('the guard', () => {
  it.each([
    ['a throughput at its bound', throughput, 10, 100, true],
    ['a throughput below it', throughput, 9.9, 100, false],
    ['a cost at its bound', cost, 60, 10, true],
    ['a cost over it', cost, 60.1, 10, false],
    ['a floor that did nothing', throughput, 10, 0, false],
    ['a cost against a floor that did nothing', cost, 10, 0, false],
  ])('judges %s', (_what, guarded, ours, theirs, stands) => {
    expect(judge(guarded, ours, theirs).stands).toBe(stands);
  });
});
