import timers from 'node:timers/promises';

type Task = () => void;

/** What `setTimeout` gives back; the code under test calls no more of it than this. */
class Timer {
  isOver = false;
  constructor(
    readonly run: Task,
    readonly everyMs: number | undefined,
  ) {}

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

interface Due {
  readonly at: number;
  readonly order: number;
  readonly timer: Timer;
}

type Callback = (...args: unknown[]) => void;

/** Virtual tasks run in one turn of the real event loop: each has its microtasks drained, none waits for I/O. */
const TASKS_PER_TURN = 64;

const realSetImmediate = setImmediate;

/**
 * A clock that jumps from timer to timer, in place of the process's own. While it is installed, all that the code under
 * test can wait for is a timer, an immediate or a microtask, and the first two are queued here: what happens, and in
 * which order, depends on the seed alone.
 */
export class VirtualTime {
  private readonly heap: Due[] = [];
  private readonly immediates: Timer[] = [];
  private firstImmediate = 0;
  private order = 0;
  private restore: (() => void) | undefined;
  /** Tasks run so far. */
  steps = 0;

  /** @param random stands in for `Math.random` */
  constructor(
    private time: number,
    private readonly random: () => number,
  ) {}

  /** Milliseconds since the epoch, as `Date.now` gives them. */
  get now(): number {
    return Math.floor(this.time);
  }

  /** The same with fractions, as `performance.now` gives them. */
  get precise(): number {
    return this.time;
  }

  after(delayMs: number, run: Task): Timer {
    return this.schedule(run, delayMs, undefined);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  clear(timer: unknown): void {
    if (timer instanceof Timer) timer.isOver = true;
  }

  /** Takes the place of the process's clocks and timers until {@link uninstall}. */
  install(): void {
    const restorers = [
      replace(globalThis, 'setTimeout', (run: Callback, delayMs?: number, ...args: unknown[]) =>
        this.after(delayMs ?? 0, () => {
          run(...args);
        }),
      ),
      replace(globalThis, 'setInterval', (run: Callback, delayMs: number) =>
        this.schedule(run, delayMs, delayMs),
      ),
      replace(globalThis, 'setImmediate', (run: Callback, ...args: unknown[]) =>
        this.immediate(() => {
          run(...args);
        }),
      ),
      ...['clearTimeout', 'clearInterval', 'clearImmediate'].map((name) =>
        replace(globalThis, name, (timer: unknown) => {
          this.clear(timer);
        }),
      ),
      replace(globalThis, 'performance', { now: () => this.time }),
      replace(Date, 'now', () => this.now),
      replace(Math, 'random', this.random),
      replace(
        timers,
        'setTimeout',
        this.sleeping((run, delayMs) => this.after(delayMs, run)),
      ),
      replace(
        timers,
        'setImmediate',
        (value?: unknown) =>
          new Promise((resolve) => {
            this.immediate(() => {
              resolve(value);
            });
          }),
      ),
    ];
    this.restore = () => {
      for (const undo of restorers.reverse()) undo();
    };
  }

  /**
   * {@link uninstall}, after what is still under way has come to rest: a device that went on with the process's own
   * clocks would set timers that nobody clears.
   */
  async end(): Promise<void> {
    await new Promise((resolve) => realSetImmediate(resolve));
    this.uninstall();
  }

  uninstall(): void {
    this.restore?.();
    this.restore = undefined;
  }

  /**
   * Runs what is due until `isOver`, or nothing is left. Immediates are run to the end also then: modules remember
   * that they have asked for one, and would wait for it in the next run.
   *
   * @throws what a task threw, and Error when more than `stepsMax` tasks ran: somebody spins
   */
  run(isOver: () => boolean, stepsMax: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isEnded = false;
      const step = (isLast: boolean): void => {
        if (isEnded) return;
        try {
          const task = isOver() ? this.takeImmediate() : this.take();
          if (task !== undefined) {
            if (++this.steps > stepsMax) throw new Error(`more than ${stepsMax} steps`);
            task();
            if (isLast) turn();
            return;
          }
          isEnded = true;
          resolve();
        } catch (error) {
          isEnded = true;
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const turn = (): void => {
        for (let n = 1; n <= TASKS_PER_TURN; n++) realSetImmediate(step, n === TASKS_PER_TURN);
      };
      turn();
    });
  }

  private immediate(run: Task): Timer {
    const timer = new Timer(run, undefined);
    this.immediates.push(timer);
    return timer;
  }

  /** `node:timers/promises` with its `signal`. */
  private sleeping(after: (run: Task, delayMs: number) => Timer) {
    return (delayMs = 0, value?: unknown, options: { readonly signal?: AbortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const { signal } = options;
        const aborted = (): void => {
          this.clear(timer);
          reject(new DOMException('The operation was aborted', 'AbortError'));
        };
        const timer = after(() => {
          signal?.removeEventListener('abort', aborted);
          resolve(value);
        }, delayMs);
        if (signal?.aborted === true) aborted();
        else signal?.addEventListener('abort', aborted, { once: true });
      });
  }

  private takeImmediate(): Task | undefined {
    const immediate = this.immediates[this.firstImmediate];
    if (immediate === undefined) return undefined;
    this.firstImmediate++;
    if (this.firstImmediate === this.immediates.length) {
      this.immediates.length = 0;
      this.firstImmediate = 0;
    }
    return immediate.isOver ? nothing : immediate.run;
  }

  private take(): Task | undefined {
    const immediate = this.takeImmediate();
    if (immediate !== undefined) return immediate;
    for (;;) {
      const due = this.pop();
      if (due === undefined) return undefined;
      const { at, timer } = due;
      if (timer.isOver) continue;
      this.time = Math.max(this.time, at);
      if (timer.everyMs === undefined) timer.isOver = true;
      else this.push({ at: this.time + timer.everyMs, order: this.order++, timer });
      return timer.run;
    }
  }

  private schedule(run: Task, delayMs: number, everyMs: number | undefined): Timer {
    const timer = new Timer(run, everyMs === undefined ? undefined : Math.max(1, everyMs));
    // Node rounds a delay below one millisecond up to one.
    this.push({
      at: this.time + Math.max(1, Number.isFinite(delayMs) ? delayMs : 1),
      order: this.order++,
      timer,
    });
    return timer;
  }

  private push(due: Due): void {
    const { heap } = this;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent] as Due)) break;
      heap[at] = heap[parent] as Due;
      at = parent;
    }
    heap[at] = due;
  }

  private pop(): Due | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child++;
      if (!isBefore(heap[child] as Due, last)) break;
      heap[at] = heap[child] as Due;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const nothing: Task = () => undefined;

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

function replace(owner: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  Object.defineProperty(owner, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, before);
  };
}
