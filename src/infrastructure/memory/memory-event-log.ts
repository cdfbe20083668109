import {
  APPEND_BYTES_MAX,
  AppendTooLarge,
  EventLog,
  EventLogUnavailable,
  READ_EVENTS_MAX,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogEvent,
  type LogFilter,
  type NewEvent,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StreamRead,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../application/ports/event-log';
import { asRevision, type Revision } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import { POSITION_START, type Position } from '../../kernel/position';

interface Stream {
  readonly events: LogEvent[];
  maxCount: number;
}

/** What a subscription looks at in one go before it reports how far it is; keeps checkpoints coming. */
const SCAN_EVENTS_MAX = 256;

/**
 * The log in memory, for specs: the same contract as the real ones, nothing durable. Nothing is held for a
 * slow subscriber, because each one reads from the shared list by index.
 */
export class MemoryEventLog extends EventLog {
  private readonly all: LogEvent[] = [];
  private readonly streams = new Map<string, Stream>();
  private readonly waiting = new Set<() => void>();
  private readonly identity = uuidv7();
  private closed = false;

  async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    await this.turn();
    if (events.length === 0) throw new RangeError('an append has at least one event');
    const stored = this.streams.get(stream)?.events ?? [];
    const last = stored.length - 1;
    const expected = expectedLast(options.expected, last);
    if (expected !== last) {
      return (
        repeated(stored, events, expected) ?? { kind: 'wrongExpectedRevision', actual: revisionOf(last) }
      );
    }
    const texts = events.map(
      ({ data, metadata }) => [JSON.stringify(data), JSON.stringify(metadata)] as const,
    );
    const bytes = texts.flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes > APPEND_BYTES_MAX) throw new AppendTooLarge(`${bytes} bytes in one append`);
    events.forEach((event, n) => {
      this.store(stream, event, texts[n] ?? ['null', 'null']);
    });
    for (const wake of [...this.waiting]) wake();
    const end = this.all[this.all.length - 1] as LogEvent;
    return { kind: 'appended', revision: end.revision, position: end.position };
  }

  async readStream(name: string, options: ReadStreamOptions): Promise<StreamRead> {
    await this.turn();
    checkLimit(options.limit);
    const stream = this.streams.get(name);
    if (stream === undefined || stream.events.length === 0) return { kind: 'streamNotFound' };
    const last = stream.events.length - 1;
    const first = Math.max(0, last + 1 - stream.maxCount);
    const backwards = options.direction === 'backwards';
    const from = options.from === undefined ? (backwards ? last : 0) : Number(options.from);
    // Half-open range of indexes to give.
    const begin = backwards
      ? Math.max(first, Math.min(from, last) + 1 - options.limit)
      : Math.max(first, from);
    const end = backwards ? Math.min(from, last) + 1 : Math.min(last + 1, begin + options.limit);
    const events = stream.events.slice(begin, Math.max(begin, end));
    return {
      kind: 'events',
      events: backwards ? events.reverse() : events,
      more: backwards ? begin > first : end <= last,
      ...(from < first ? { truncatedBefore: asRevision(BigInt(first)) } : {}),
    };
  }

  async readAll(options: ReadAllOptions): Promise<AllRead> {
    await this.turn();
    checkLimit(options.limit);
    const backwards = options.direction === 'backwards';
    const step = backwards ? -1 : 1;
    const start = backwards ? this.all.length : -1;
    let at = options.after === undefined ? start : Number(options.after.commit);
    const events: LogEvent[] = [];
    while (events.length < options.limit) {
      const event = this.all[at + step];
      if (event === undefined) break;
      at += step;
      if (passes(event, options.filter)) events.push(event);
    }
    return { events, next: positionAt(at), endOfLog: this.all[at + step] === undefined };
  }

  subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    const { after } = options;
    const end = this.all.length;
    // The end is where the log ends at this call, not when the reader first asks.
    const next = after === 'start' ? 0 : after === 'end' ? end : Number(after.commit) + 1;
    return this.follow(next, options);
  }

  async head(): Promise<Position> {
    await this.turn();
    return this.all.length === 0 ? POSITION_START : positionAt(this.all.length - 1);
  }

  async setMaxCount(stream: string, maxCount: number): Promise<void> {
    await this.turn();
    this.stream(stream).maxCount = maxCount;
  }

  async epoch(): Promise<string> {
    await this.turn();
    return this.identity;
  }

  /** Ends all subscriptions; everything after it rejects with EventLogUnavailable. */
  close(): void {
    this.closed = true;
    for (const wake of [...this.waiting]) wake();
  }

  private async *follow(
    start: number,
    { filter, signal }: SubscribeOptions,
  ): AsyncGenerator<SubscriptionItem> {
    let next = start;
    let live = false;
    while (!this.ended(signal)) {
      const goal = Math.min(this.all.length, next + SCAN_EVENTS_MAX);
      let reported = next - 1;
      for (; next < goal && !this.ended(signal); next++) {
        const event = this.all[next] as LogEvent;
        if (!passes(event, filter)) continue;
        reported = next;
        yield { kind: 'event', event };
      }
      if (this.ended(signal)) return;
      if (reported < next - 1) yield { kind: 'checkpoint', position: positionAt(next - 1) };
      if (next < this.all.length) continue;
      if (!live) yield { kind: 'caughtUp', position: positionAt(next - 1) };
      live = true;
      if (next === this.all.length) await this.more(signal);
    }
  }

  private ended(signal: AbortSignal | undefined): boolean {
    return this.closed || signal?.aborted === true;
  }

  /** Resolves when something was appended, the log closed or the signal aborted. */
  private async more(signal: AbortSignal | undefined): Promise<void> {
    if (this.ended(signal)) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.waiting.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }

  private store(stream: string, event: NewEvent, [data, metadata]: readonly [string, string]): void {
    const { events } = this.stream(stream);
    const stored: LogEvent = {
      stream,
      revision: asRevision(BigInt(events.length)),
      position: positionAt(this.all.length),
      id: event.id,
      type: event.type,
      data: parseFrozen(data),
      metadata: parseFrozen(metadata),
      created: Date.now(),
    };
    events.push(stored);
    this.all.push(stored);
  }

  private stream(name: string): Stream {
    const known = this.streams.get(name);
    if (known !== undefined) return known;
    const made: Stream = { events: [], maxCount: Number.POSITIVE_INFINITY };
    this.streams.set(name, made);
    return made;
  }

  /** No real log answers in the same turn; a caller that relied on it would work in specs alone. */
  private async turn(): Promise<void> {
    await Promise.resolve();
    if (this.closed) throw new EventLogUnavailable('the log is closed');
  }
}

const positionAt = (index: number): Position => ({ commit: BigInt(index), prepare: BigInt(index) });

const revisionOf = (last: number): Revision | undefined => (last < 0 ? undefined : asRevision(BigInt(last)));

/** The last revision that `expected` stands for; -1: no stream. */
function expectedLast(expected: ExpectedRevision, last: number): number {
  if (expected === 'any') return last;
  if (expected === 'noStream') return -1;
  if (expected === 'streamExists') return last < 0 ? Number.NaN : last;
  return Number(expected);
}

/** The answer to an append whose events stand already where they were to go; undefined: they do not. */
function repeated(
  stored: readonly LogEvent[],
  events: readonly NewEvent[],
  expected: number,
): AppendResult | undefined {
  if (!events.every((event, n) => stored[expected + 1 + n]?.id === event.id)) return undefined;
  const last = stored[expected + events.length];
  return last && { kind: 'appended', revision: last.revision, position: last.position };
}

function passes(event: LogEvent, filter: LogFilter | undefined): boolean {
  const { streamPrefixes, eventTypePrefixes } = filter ?? {};
  if (streamPrefixes?.some((prefix) => event.stream.startsWith(prefix)) === false) return false;
  return eventTypePrefixes?.some((prefix) => event.type.startsWith(prefix)) !== false;
}

function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= READ_EVENTS_MAX) return;
  throw new RangeError(`a read takes 1 to ${READ_EVENTS_MAX} events, not ${limit}`);
}

/** Frozen through and through: a reader that changes what all readers share fails in its own spec. */
const parseFrozen = (text: string): unknown =>
  JSON.parse(text, (_key, value: unknown) => Object.freeze(value));
