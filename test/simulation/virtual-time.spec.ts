import { setImmediate as afterOthers, setTimeout as sleep } from 'node:timers/promises';
import { VirtualTime } from './virtual-time';

const START = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;

describe('virtual time', () => {
  let time: VirtualTime;
  let heard: string[];

  beforeEach(() => {
    time = new VirtualTime(START, () => 0.25);
    heard = [];
    time.install();
  });
  afterEach(() => {
    time.uninstall();
  });

  const say = (word: string) => () => {
    heard.push(`${word} ${Date.now() - START}`);
  };

  it('jumps to what is due, in order, with immediates first and microtasks in between', async () => {
    setTimeout(say('late'), HOUR_MS);
    setTimeout(say('soon'), 5);
    setTimeout(() => {
      void Promise.resolve().then(say('microtask'));
    }, 5);
    setTimeout(say('next'), 5);
    setImmediate(say('immediate'));
    clearTimeout(setTimeout(say('never'), 1));
    await time.run(() => false, 100);
    expect(heard).toEqual(['immediate 0', 'soon 5', 'microtask 5', 'next 5', `late ${HOUR_MS}`]);
  });

  it('is what timers of node:timers/promises, the monotonic clock and Math.random see', async () => {
    const waiting = new AbortController();
    void sleep(10).then(say('slept'));
    void sleep(20, undefined, { signal: waiting.signal }).catch(say('aborted'));
    void afterOthers().then(say('after others'));
    setTimeout(() => {
      waiting.abort();
      heard.push(`${performance.now() - START} ${Math.random()}`);
    }, 15);
    await time.run(() => false, 100);
    expect(heard).toEqual(['after others 0', 'slept 10', '15 0.25', 'aborted 15']);
  });

  it('repeats intervals until they are cleared, and stops whoever spins', async () => {
    const interval = setInterval(say('tick'), 10);
    setTimeout(() => {
      clearInterval(interval);
    }, 35);
    await time.run(() => false, 100);
    expect(heard).toEqual(['tick 10', 'tick 20', 'tick 30']);
    setInterval(say('tock'), 1);
    await expect(time.run(() => false, 100)).rejects.toThrow('more than 100 steps');
  });

  it('ends with what was to happen in this turn, and nothing later', async () => {
    let isOver = false;
    setTimeout(() => {
      isOver = true;
      setImmediate(say('immediate'));
    }, 5);
    setTimeout(say('later'), 6);
    await time.run(() => isOver, 100);
    expect(heard).toEqual(['immediate 5']);
  });

  it('gives the process its own clock back', () => {
    time.uninstall();
    expect(Date.now()).not.toBe(START);
    expect(Math.random()).not.toBe(0.25);
  });
});
