/** What one line of an IRC log says. Lines are counted from 0, as the annotations do. */
export type LogLine =
  | ({
      readonly kind: 'message';
      readonly line: number;
      readonly nick: string;
      readonly body: string;
    } & Timed)
  | { readonly kind: 'joined' | 'left' | 'kicked'; readonly line: number; readonly nick: string }
  | { readonly kind: 'renamed'; readonly line: number; readonly from: string; readonly to: string }
  /** Known, and not something people are told in a conversation: modes, topics, actions without a time. */
  | { readonly kind: 'skipped'; readonly line: number; readonly why: string }
  | { readonly kind: 'bad'; readonly line: number; readonly why: string };

interface Timed {
  /** Milliseconds since the epoch, to the minute; the log names no zone, so UTC is assumed. */
  readonly at: number;
}

export interface Note {
  readonly line: number;
  readonly what: string;
}

export interface ParsedLog {
  /** The file's name without its folder: what keys are made from, so that moving a file changes nothing. */
  readonly name: string;
  /** As in the first line that names one; lower case. */
  readonly channel: string;
  /** `YYYY-MM-DD`, from the name. */
  readonly date: string;
  readonly lines: readonly LogLine[];
  readonly notes: readonly Note[];
}

/** A file that cannot be imported at all; the sentence says why. */
export class UnreadableLog extends Error {
  override readonly name = 'UnreadableLog';
}

export const LINES_MAX = 1_000_000;
/** UTF-8 bytes of one body, as everywhere (PROTOCOL.md section 2). */
export const BODY_BYTES_MAX = 16_384;
export const NICK_LENGTH_MAX = 64;

const HALF_DAY_MINUTES = 12 * 60;
const CLOCK_SET_BACK_MINUTES_MAX = 120;
const MINUTE_MS = 60_000;
const MESSAGE = /^\[(\d\d):(\d\d)\] <([^>]*)>(.*)$/su;
const ACTION = /^\[(\d\d):(\d\d)\] +(\* (\S+).*)$/su;
const JOINED_OR_LEFT = /^=== (.+?) +(?:\[[^ ]*\] +)?has (joined|left|quit) *(#\S+)?/u;
const JOINED_OR_LEFT_FROM = /^=== (.+) \[[^ ]*\] +has (joined|left|quit) *(#\S+)?/u;
const RENAMED = /^=== (.+) is now known as (.+)$/u;
const KICKED = /^=== (.+) was kicked off (#\S+) by /u;
const SYSTEM: readonly (readonly [RegExp, string])[] = [
  [/^=== mode\//u, 'a change of modes'],
  [/^=== \.*\[topic\//u, 'a topic'],
  [/^=== (netjoined|netsplit):/u, 'news of the network'],
  [/^===/u, 'an action without a time, or other news'],
];

const utf8 = new TextDecoder('utf-8', { fatal: true });
const windows1252 = new TextDecoder('windows-1252');

/**
 * Reads a log. Never fails on a line: what is no UTF-8 is read as Windows-1252, as clients of the time sent
 * it, and what makes no sense is `bad`.
 * @throws UnreadableLog when the name holds no date, or there are more than LINES_MAX lines
 */
export function parseLog(name: string, bytes: Uint8Array): ParsedLog {
  const date = /\d{4}-\d{2}-\d{2}/.exec(name)?.[0];
  if (date === undefined || Number.isNaN(Date.parse(`${date}T00:00:00Z`))) {
    throw new UnreadableLog(`${name}: the name holds no date (YYYY-MM-DD), so the times mean nothing`);
  }
  const notes: Note[] = [];
  const texts = decodedLines(bytes, notes);
  if (texts.length > LINES_MAX) throw new UnreadableLog(`${name}: more than ${LINES_MAX} lines`);
  const clock = new LogClock(Date.parse(`${date}T00:00:00Z`), notes);
  const lines = texts.map((text, line) => parseLine(text, line, clock, notes));
  const channel = texts.map((text) => channelOf(text)).find((found) => found !== undefined);
  return { name, channel: channel ?? '#irc', date, lines, notes };
}

function decodedLines(bytes: Uint8Array, notes: Note[]): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    lines.push(decode(bytes.subarray(start, end), lines.length, notes));
    start = end + 1;
  }
  return lines;
}

function decode(bytes: Uint8Array, line: number, notes: Note[]): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    text = windows1252.decode(bytes);
    notes.push({ line, what: 'no UTF-8, read as Windows-1252' });
  }
  if (text.includes('\0')) notes.push({ line, what: 'U+0000 replaced by U+FFFD' });
  return text.replaceAll('\0', '\uFFFD').replace(/\r$/, '');
}

/**
 * Turns `hh:mm` into a time. A clock that goes back has passed midnight or, on a clock of twelve hours as the
 * oldest logs have, noon: the least number of half days that brings it forward again is added from there on. A
 * small step back is a clock that was set: time stands still until it has caught up.
 */
class LogClock {
  private elapsed = -1;
  private offset = 0;

  constructor(
    private readonly dayMs: number,
    private readonly notes: Note[],
  ) {}

  /** undefined: no time of a day. */
  at(hours: string, minutes: string, line: number): number | undefined {
    if (Number(hours) > 23 || Number(minutes) > 59) return undefined;
    const shown = Number(hours) * 60 + Number(minutes);
    const back = this.elapsed - (shown + this.offset);
    if (back > CLOCK_SET_BACK_MINUTES_MAX) {
      this.offset += Math.ceil(back / HALF_DAY_MINUTES) * HALF_DAY_MINUTES;
      this.notes.push({ line, what: `from here on ${this.offset / 60} hours are added to the times` });
    } else if (back > 0) {
      this.notes.push({ line, what: `the clock was set back by ${back} minutes` });
    }
    this.elapsed = Math.max(this.elapsed, shown + this.offset);
    return this.dayMs + this.elapsed * MINUTE_MS;
  }
}

function parseLine(text: string, line: number, clock: LogClock, notes: Note[]): LogLine {
  const message = MESSAGE.exec(text);
  if (message !== null) {
    const [, hours = '', minutes = '', nick = '', rest = ''] = message;
    const body = rest.startsWith(' ') ? rest.slice(1) : rest;
    return said(line, clock.at(hours, minutes, line), nick.trim(), body, notes);
  }
  const action = ACTION.exec(text);
  if (action !== null) {
    const [, hours = '', minutes = '', body = '', nick = ''] = action;
    return said(line, clock.at(hours, minutes, line), nick, body, notes);
  }
  return text.startsWith('===')
    ? parseSystemLine(text, line)
    : { kind: 'bad', line, why: 'not a line of a log' };
}

function said(line: number, at: number | undefined, nick: string, text: string, notes: Note[]): LogLine {
  if (at === undefined) return { kind: 'bad', line, why: 'no time of a day' };
  if (!isNick(nick)) return { kind: 'bad', line, why: 'nobody said this' };
  if (Buffer.byteLength(text) > BODY_BYTES_MAX) {
    return { kind: 'bad', line, why: `over ${BODY_BYTES_MAX} bytes` };
  }
  const body = text.trim() === '' ? '' : text;
  if (body === '') notes.push({ line, what: 'a message without text' });
  return { kind: 'message', line, nick, body, at };
}

function parseSystemLine(text: string, line: number): LogLine {
  const renamed = RENAMED.exec(text);
  if (renamed !== null) {
    const [from = '', to = ''] = [renamed[1]?.trim(), renamed[2]?.trim()];
    if (isNick(from) && isNick(to)) return { kind: 'renamed', line, from, to };
  }
  const kicked = KICKED.exec(text)?.[1]?.trim();
  if (kicked !== undefined && isNick(kicked)) return { kind: 'kicked', line, nick: kicked };
  // A nick may hold brackets and, as logged, spaces: only the last bracket before the verb is the host.
  const moved = JOINED_OR_LEFT_FROM.exec(text) ?? JOINED_OR_LEFT.exec(text);
  if (moved !== null && (moved[3] !== undefined || moved[2] === 'quit')) {
    const nick = (moved[1] ?? '').trim();
    if (isNick(nick)) return { kind: moved[2] === 'joined' ? 'joined' : 'left', line, nick };
  }
  const why = SYSTEM.find(([pattern]) => pattern.test(text))?.[1] ?? 'not a line of a log';
  return { kind: 'skipped', line, why };
}

const isNick = (nick: string): boolean => nick !== '' && nick.length <= NICK_LENGTH_MAX;

const channelOf = (text: string): string | undefined =>
  text.startsWith('===') ? / has (?:joined|left) (#\S+)/.exec(text)?.[1]?.toLowerCase() : undefined;
