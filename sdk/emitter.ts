type Handler<T> = (value: T) => unknown;

/** Typed events. Handlers run in the order of their registration; each call is on its own. */
export class Emitter<Events extends object> {
  private readonly handlers = new Map<keyof Events, Set<Handler<never>>>();
  private readonly running = new Set<Promise<unknown>>();

  constructor(private readonly failed: (error: unknown) => void) {}

  /** @returns a function that takes the handler away again */
  on<Name extends keyof Events>(name: Name, handler: Handler<Events[Name]>): () => void {
    const handlers = this.handlers.get(name) ?? new Set();
    this.handlers.set(name, handlers.add(handler));
    return () => {
      handlers.delete(handler);
    };
  }

  /** A handler that throws, or whose promise rejects, is reported and stops nobody else. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const handler of this.handlers.get(name) ?? []) {
      try {
        const result = (handler as Handler<Events[Name]>)(value);
        if (result instanceof Promise) this.follow(result);
      } catch (error) {
        this.failed(error);
      }
    }
  }

  /** Resolves when the promises that handlers have returned so far are settled. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  private follow(result: Promise<unknown>): void {
    const followed = result.catch(this.failed).finally(() => this.running.delete(followed));
    this.running.add(followed);
  }
}
