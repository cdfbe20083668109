import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const MESSAGE = /^\[(\d\d):(\d\d)\] <([^>]+)> ?(.+)$/u;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const LOG_NAME = /\.raw\.txt$/;

export interface SpokenLine {
  readonly nick: string;
  readonly text: string;
  /** Milliseconds since the first line; the lines of a minute are spread over it. */
  readonly at: number;
}

/** A day of a channel. */
export interface ChannelDay {
  readonly name: string;
  readonly nicks: readonly string[];
  readonly lines: readonly SpokenLine[];
}

/** The longest logs of a folder; none when there is no such folder. */
export function readLogs(folder: string, count: number): readonly ChannelDay[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => LOG_NAME.test(name));
  } catch {
    names = [];
  }
  return names
    .sort((a, b) => statSync(join(folder, b)).size - statSync(join(folder, a)).size)
    .slice(0, count)
    .map((name) => parseDay(name, readFileSync(join(folder, name), 'utf8')));
}

function parseDay(name: string, text: string): ChannelDay {
  const byMinute = new Map<number, { readonly nick: string; readonly text: string }[]>();
  let [first, last] = [-1, 0];
  for (const line of text.split('\n')) {
    const [, hours, minutes, nick, said] = MESSAGE.exec(line) ?? [];
    if (nick === undefined || said === undefined || said.trim() === '') continue;
    let minute = Number(hours) * 60 + Number(minutes);
    // Past midnight; a clock that was set back a little stays where it was.
    while (minute + DAY_MINUTES / 2 < last) minute += DAY_MINUTES;
    minute = Math.max(minute, last);
    last = minute;
    if (first < 0) first = minute;
    byMinute.set(minute, [...(byMinute.get(minute) ?? []), { nick, text: said.toWellFormed() }]);
  }
  const lines = [...byMinute].flatMap(([minute, said]) =>
    said.map((one, n) => ({ ...one, at: (minute - first + n / said.length) * MINUTE_MS })),
  );
  return { name, nicks: [...new Set(lines.map(({ nick }) => nick))], lines };
}
