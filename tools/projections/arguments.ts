import { parseArgs } from 'node:util';
import { LIVE_PROJECTIONS } from '../../projections/live';
import type { Projection } from '../../projections/projection';

export type Command =
  | { readonly kind: 'status' }
  | { readonly kind: 'verify' }
  | {
      readonly kind: 'rebuild';
      readonly projections: readonly Projection[];
      readonly replaceDifferent: boolean;
    };

export const USAGE = `npm run projections -- status
npm run projections -- verify
npm run projections -- rebuild <${LIVE_PROJECTIONS.map(modelOf).join('|')}|all> [--replace-different]

status     where each read model stands, and how far the log goes
verify     folds the log and compares every read model with it; exit 1 on a difference
rebuild    builds a read model beside the one that serves, proves both equal at one position, swaps them;
           with --replace-different it is swapped in also when they differ, which repairs a damaged one`;

/** What the command line asks for; undefined when it makes no sense. */
export function parseCommand(args: readonly string[]): Command | undefined {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { 'replace-different': { type: 'boolean', default: false } },
    });
  } catch {
    return undefined;
  }
  const [verb, name, ...more] = parsed.positionals;
  const replaceDifferent = parsed.values['replace-different'];
  if (more.length > 0 || (verb !== 'rebuild' && (name !== undefined || replaceDifferent))) return undefined;
  switch (verb) {
    case 'status':
    case 'verify':
      return { kind: verb };
    case 'rebuild': {
      const projections = LIVE_PROJECTIONS.filter((one) => name === 'all' || name === modelOf(one));
      return projections.length === 0 ? undefined : { kind: 'rebuild', projections, replaceDifferent };
    }
    case undefined:
    default:
      return undefined;
  }
}

/** `inbox` of `inbox/v1`. */
export function modelOf({ name }: Projection): string {
  return name.replace(/\/.*$/, '');
}
