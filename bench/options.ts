/** The command line: scenario names, then options with a value or without. */
export interface Options {
  readonly names: readonly string[];
  readonly flag: (name: string) => boolean;
  readonly value: (name: string) => string | undefined;
  /** Of an option that may be given several times. */
  readonly values: (name: string) => readonly string[];
}

const FLAGS: ReadonlySet<string> = new Set(['quick', 'floor', 'help']);

/** @throws Error for an option without its value */
export function parseOptions(args: readonly string[]): Options {
  const names: string[] = [];
  const given: [string, string][] = [];
  for (let n = 0; n < args.length; n++) {
    const arg = args[n] as string;
    if (!arg.startsWith('--')) {
      names.push(arg);
      continue;
    }
    const name = arg.slice(2);
    if (FLAGS.has(name)) given.push([name, '']);
    else {
      const value = args[++n];
      if (value === undefined) throw new Error(`--${name} needs a value`);
      given.push([name, value]);
    }
  }
  const values = (name: string): readonly string[] =>
    given.filter(([one]) => one === name).map(([, value]) => value);
  return { names, flag: (name) => values(name).length > 0, value: (name) => values(name).at(-1), values };
}
