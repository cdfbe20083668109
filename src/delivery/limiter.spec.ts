import { Limiter, mapInOrder } from './limiter';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Limiter', () => {
  it('runs max at once, in the order of asking, also after a failure', async () => {
    const limiter = new Limiter(2);
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const work = async (n: number): Promise<number> => {
      begun.push(n);
      most = Math.max(most, ++running);
      await turn();
      running--;
      if (n === 1) throw new Error('one');
      return n;
    };
    const results = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => limiter.run(() => work(n))));
    expect(begun).toEqual([0, 1, 2, 3, 4]);
    expect(most).toBe(2);
    expect(results.map(({ status }) => status === 'fulfilled')).toEqual([true, false, true, true, true]);
  });
});

describe('mapInOrder', () => {
  it('gives the results in the order of the items, whatever order they come in', async () => {
    const results: number[] = [];
    const work = async (n: number): Promise<number> => {
      for (let wait = 10 - n; wait > 0; wait--) await turn();
      return n;
    };
    for await (const result of mapInOrder([1, 9, 2, 8, 3], 3, work)) results.push(result);
    expect(results).toEqual([1, 9, 2, 8, 3]);
  });

  it('begins no more than max ahead of a consumer that is slow', async () => {
    const begun: number[] = [];
    const items = Array.from({ length: 10 }, (_, n) => n);
    const results = mapInOrder(items, 3, (n) => {
      begun.push(n);
      return Promise.resolve(n);
    });
    await results.next();
    await turn();
    expect(begun).toHaveLength(3);
    await results.next();
    expect(begun).toHaveLength(4);
  });

  it('passes a failure on, and swallows those that nobody waits for', async () => {
    const take = async (): Promise<void> => {
      for await (const _ of mapInOrder([1, 2, 3], 3, (n) => Promise.reject(new Error(String(n))))) continue;
    };
    await expect(take()).rejects.toThrow('1');
    await turn();
  });
});
