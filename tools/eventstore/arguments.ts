import { parseArgs } from 'node:util';

export const USAGE = `npm run eventstore [-- <command>]

  (none)                     serves the engine under DATA_DIR to EventStoreDB clients, on loopback
  copy --to <url or folder> [--from <url or folder>]
                             copies every stream; from DATA_DIR/events unless told otherwise; again: goes on
  backup --to <folder>       copies DATA_DIR/events as it is at this moment, also while a node runs on it
  check [--from <folder>]    reads DATA_DIR/events, or the folder, to the end and says what is damaged
  repair                     makes the index of DATA_DIR/events anew from its records, and keeps the file that was there
  reshard --to "<url> <url> …"
                             spreads the conversations of the stores at EVENTSTORE_URL over these, which are the same
                             and new, empty ones; all nodes must be stopped; again: goes on
  new-epoch                  after an older backup was put in place: tells clients that the log is another one;
                             of the store a node would use, at EVENTSTORE_URL or under DATA_DIR`;

export type EventStoreCommand =
  | { readonly kind: 'serve' }
  | { readonly kind: 'copy'; readonly from: string | undefined; readonly to: string }
  | { readonly kind: 'backup'; readonly to: string }
  | { readonly kind: 'reshard'; readonly to: string }
  | { readonly kind: 'check'; readonly from: string | undefined }
  | { readonly kind: 'repair' }
  | { readonly kind: 'newEpoch' };

/** The command line is wrong; the sentence says how. */
export class WrongArguments extends Error {
  override readonly name = 'WrongArguments';
}

/** @throws WrongArguments */
export function eventStoreCommand(argv: readonly string[]): EventStoreCommand {
  let parsed;
  try {
    const options = { from: { type: 'string' }, to: { type: 'string' } } as const;
    parsed = parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    throw new WrongArguments((error as Error).message);
  }
  const [name, ...others] = parsed.positionals;
  const { from, to } = parsed.values;
  if (others.length > 0) throw new WrongArguments(`there is one command, not also ${others.join(' ')}`);
  const without = (given: string | undefined, option: string): void => {
    if (given !== undefined) throw new WrongArguments(`${name ?? 'serving'} takes no ${option}`);
  };
  const needed = (given: string | undefined): string => {
    if (given === undefined || given === '') throw new WrongArguments(`${name ?? ''} needs --to`);
    return given;
  };
  switch (name) {
    case undefined:
      without(from, '--from');
      without(to, '--to');
      return { kind: 'serve' };
    case 'copy':
      return { kind: 'copy', from, to: needed(to) };
    case 'backup':
      without(from, '--from');
      return { kind: 'backup', to: needed(to) };
    case 'reshard':
      without(from, '--from');
      return { kind: 'reshard', to: needed(to) };
    case 'check':
      without(to, '--to');
      return { kind: 'check', from };
    case 'repair':
      without(from, '--from');
      without(to, '--to');
      return { kind: 'repair' };
    case 'new-epoch':
      without(from, '--from');
      without(to, '--to');
      return { kind: 'newEpoch' };
    default:
      throw new WrongArguments(`there is no command ${name}`);
  }
}
