import { Paced } from './paced';

describe('Paced', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('runs the first at once, and of what comes within the interval the last, at its end', () => {
    const ran: string[] = [];
    const paced = new Paced<string>(1_000, 10);
    const run = (name: string): void => {
      paced.run('a', () => ran.push(name));
    };
    run('first');
    run('second');
    run('third');
    expect(ran).toEqual(['first']);
    jest.advanceTimersByTime(999);
    expect(ran).toEqual(['first']);
    jest.advanceTimersByTime(1);
    expect(ran).toEqual(['first', 'third']);
    run('fourth');
    expect(ran).toEqual(['first', 'third']);
    jest.advanceTimersByTime(1_000);
    expect(ran).toEqual(['first', 'third', 'fourth']);
    jest.advanceTimersByTime(1_000);
    expect(paced.size).toBe(0);
    run('fifth');
    expect(ran).toEqual(['first', 'third', 'fourth', 'fifth']);
  });

  it('drops work for more keys than it may hold, and what waits when it stops', () => {
    const ran: number[] = [];
    const paced = new Paced<number>(1_000, 2);
    for (const key of [1, 2, 3, 1]) paced.run(key, () => ran.push(key));
    expect(ran).toEqual([1, 2]);
    paced.stop();
    jest.advanceTimersByTime(5_000);
    expect(ran).toEqual([1, 2]);
    expect(paced.size).toBe(0);
  });
});
