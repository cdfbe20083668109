import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export const USAGE = `npm run import -- irc <files or folders> [--into <title>] [--verify] [--report <file>]

  irc              logs of IRC: [hh:mm] <nick> text, with the date (YYYY-MM-DD) in the file's name
  --into <title>   all files into one conversation; without it, each file becomes its own
  --verify         afterwards, count again from the read models and compare
  --report <file>  where every skipped and bad line is listed; default: import-report.tsv under DATA_DIR`;

export interface ImportArguments {
  readonly files: readonly string[];
  readonly into: string | undefined;
  readonly verify: boolean;
  readonly report: string | undefined;
}

/** The command line is wrong; the sentence says how. */
export class WrongArguments extends Error {
  override readonly name = 'WrongArguments';
}

const TITLE_LENGTH_MAX = 128;

/** @throws WrongArguments */
export async function importArguments(argv: readonly string[]): Promise<ImportArguments> {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { into: { type: 'string' }, verify: { type: 'boolean' }, report: { type: 'string' } },
    });
  } catch (error) {
    throw new WrongArguments((error as Error).message);
  }
  const [format, ...paths] = parsed.positionals;
  const { into, verify, report } = parsed.values;
  if (format !== 'irc') throw new WrongArguments(`the format must be irc, not ${JSON.stringify(format)}`);
  if (paths.length === 0) throw new WrongArguments('no files are named');
  if (into !== undefined && (into.trim() === '' || into.length > TITLE_LENGTH_MAX)) {
    throw new WrongArguments(`--into takes a title of 1 to ${TITLE_LENGTH_MAX} characters`);
  }
  const files = (await Promise.all(paths.map(logsAt))).flat();
  if (files.length === 0) throw new WrongArguments(`no logs in ${paths.join(', ')}`);
  return { files: [...new Set(files)], into, verify: verify === true, report };
}

/** A file is itself; of a folder, `*.raw.txt`, or if it has none, `*.log` and `*.txt`. */
async function logsAt(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new WrongArguments(`${path} is not there`);
  if (!found.isDirectory()) return [path];
  const names = (await readdir(path)).sort();
  const raw = names.filter((name) => name.endsWith('.raw.txt'));
  const chosen = raw.length > 0 ? raw : names.filter((name) => /\.(log|txt)$/.test(name));
  return chosen.map((name) => join(path, name));
}
