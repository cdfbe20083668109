import { createHash } from 'node:crypto';

/** A promise was broken: what a scenario is looked for. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(
    /** The number in FAULTS.md and its name, so that a shrunk scenario breaks the same promise. */
    readonly promise: string,
    readonly what: string,
  ) {
    super(`${promise}: ${what}`);
  }
}

/**
 * What happened, line by line. Ids that the code under test draws from the machine's randomness are named by the order
 * of their appearance, so that the same seed gives the same lines.
 */
export class Trace {
  private readonly hash = createHash('sha1');
  private readonly names = new Map<string, string>();
  private readonly counts = new Map<string, number>();
  readonly lines: string[] = [];
  readonly violations: Violation[] = [];

  /** @param keepsLines otherwise the lines count for the hash alone */
  constructor(
    private readonly now: () => number,
    private readonly keepsLines: boolean,
  ) {}

  note(line: string): void {
    const text = `${String(this.now()).padStart(7)}  ${line}`;
    this.hash.update(text);
    if (this.keepsLines) this.lines.push(text);
  }

  broken(promise: string, what: string): void {
    this.note(`BROKEN ${promise}: ${what}`);
    this.violations.push(new Violation(promise, what));
  }

  /** `prefix` and a number for an id; the same one for the same id. */
  nameOf(prefix: string, id: string): string {
    const known = this.names.get(id);
    if (known !== undefined) return known;
    const count = (this.counts.get(prefix) ?? 0) + 1;
    this.counts.set(prefix, count);
    const name = `${prefix}${count}`;
    this.names.set(id, name);
    return name;
  }

  rename(id: string, name: string): void {
    this.names.set(id, name);
  }

  /** To be asked for once, at the end. */
  digest(): string {
    return this.hash.digest('hex').slice(0, 16);
  }
}
