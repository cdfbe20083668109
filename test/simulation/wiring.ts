import 'reflect-metadata';

/** A class, or the token something is injected by. */
type Token = abstract new (...args: never[]) => object;

/**
 * Builds the providers of one node as Nest would, from the same metadata, in microseconds: thousands of nodes
 * are started and killed in a minute, and their constructors may change without anybody telling the simulation.
 */
export class Wiring {
  private readonly made = new Map<unknown, unknown>();

  /** @param given what stands in for a class or a token */
  constructor(given: readonly (readonly [unknown, unknown])[]) {
    for (const [token, value] of given) this.made.set(token, value);
  }

  get<T extends object>(token: abstract new (...args: never[]) => T): T {
    return this.resolve(token) as T;
  }

  put(token: unknown, value: unknown): void {
    this.made.set(token, value);
  }

  private resolve(token: unknown): unknown {
    if (this.made.has(token)) return this.made.get(token);
    if (typeof token !== 'function') throw new Error(`nothing was given for ${String(token)}`);
    const types = (Reflect.getMetadata('design:paramtypes', token) ?? []) as unknown[];
    const named = (Reflect.getMetadata('self:paramtypes', token) ?? []) as {
      index: number;
      param: unknown;
    }[];
    const tokens = types.map((type, index) => named.find((one) => one.index === index)?.param ?? type);
    if (tokens.length < (token as Token).length) throw new Error(`${token.name} says not what it needs`);
    const make = token as unknown as new (...args: unknown[]) => object;
    const made = new make(...tokens.map((one) => this.resolve(one)));
    this.made.set(token, made);
    return made;
  }
}
