import { createHash } from 'node:crypto';
import type { StreamCheck } from '../../../projections/verify';
import { CONVERSATION_STREAM_PREFIX } from '../../../src/domain/conversation/streams';
import { asEventId, asRevision } from '../../../src/kernel/ids';
import { POSITION_START, type Position } from '../../../src/kernel/position';
import { chainCheck } from '../../verify/chain-check';
import { forTarget, goneEvent, TOMBSTONE_TYPE, type CopiedEvent } from './copied-event';
import type { OnProgress } from './copy';
import type { Side } from './side';

/** Held at a time, about 400 bytes each; of a larger store the streams are compared in several passes over it. */
export const STREAMS_MAX = 500_000;
/** Told; all are counted. */
const DIFFERENCES_TOLD_MAX = 20;

export interface CopyVerdict {
  readonly events: number;
  readonly streams: number;
  readonly chains: number;
  readonly differences: readonly string[];
  readonly differenceCount: number;
}

interface Fingerprint {
  /** Revision of the event to come. */
  next: bigint;
  hash: Buffer;
  tombstone: boolean;
}

interface Pass {
  readonly count: number;
  readonly n: number;
}

/** More streams than were to be held at a time. */
const TOO_MANY = Symbol('too many streams');

/**
 * Reads both sides again and compares each stream: how many events, and a SHA-256 over all that they are, in order.
 * Follows the audit chains of what the target has.
 *
 * @param until the source's events after it came later, and are not looked for
 */
export async function verifyCopy(
  source: Side,
  target: Side,
  options: {
    readonly until: Position | undefined;
    readonly onProgress: OnProgress;
    readonly streamsMax?: number;
  },
): Promise<CopyVerdict> {
  for (let passes = 1; ; passes *= 2) {
    const verdict = await inPasses(source, target, passes, options);
    if (verdict !== TOO_MANY) return verdict;
  }
}

async function inPasses(
  source: Side,
  target: Side,
  count: number,
  options: Parameters<typeof verifyCopy>[2],
): Promise<CopyVerdict | typeof TOO_MANY> {
  const differences = new Differences();
  const { until = POSITION_START, onProgress, streamsMax = STREAMS_MAX } = options;
  let [events, streams, chains] = [0, 0, 0];
  for (let n = 0; n < count; n++) {
    const prints = new Fingerprints({ count, n }, streamsMax);
    for await (const event of source.read()) {
      if (event.position.commit > until.commit) break;
      if (!prints.add(forTarget(event), true)) return TOO_MANY;
    }
    const found = new Fingerprints({ count, n }, streamsMax);
    const audit = new Chains();
    for await (const event of target.read()) {
      if (!found.add(event, false)) return TOO_MANY;
      if (found.has(event.stream)) differences.add(audit.take(event));
      onProgress(event.position.commit, ++events);
    }
    differences.compare(prints.streams, found.streams);
    streams += found.streams.size;
    chains += audit.count;
  }
  const { told, count: differenceCount } = differences;
  return { events: events / count, streams, chains, differences: told, differenceCount };
}

class Fingerprints {
  readonly streams = new Map<string, Fingerprint>();

  constructor(
    private readonly pass: Pass,
    private readonly max: number,
  ) {}

  has(stream: string): boolean {
    return this.streams.has(stream);
  }

  /** @param fill what is missing before the event, as the copy does. @returns whether there was room */
  add(event: CopiedEvent, fill: boolean): boolean {
    if (passOf(event.stream, this.pass.count) !== this.pass.n) return true;
    const known = this.streams.get(event.stream);
    const print = known ?? { next: 0n, hash: Buffer.alloc(0), tombstone: false };
    if (known === undefined) {
      if (this.streams.size >= this.max) return false;
      this.streams.set(event.stream, print);
    }
    if (event.type === TOMBSTONE_TYPE) {
      print.tombstone = true;
      return true;
    }
    for (; fill && print.next < event.revision; print.next++) {
      print.hash = hashOf(print.hash, goneEvent(event.stream, print.next));
    }
    print.hash = hashOf(print.hash, event);
    print.next = event.revision + 1n;
    return true;
  }
}

class Differences {
  readonly told: string[] = [];
  count = 0;

  add(sentence: string | undefined): void {
    if (sentence === undefined) return;
    this.count += 1;
    if (this.told.length < DIFFERENCES_TOLD_MAX) this.told.push(sentence);
  }

  compare(expected: ReadonlyMap<string, Fingerprint>, found: ReadonlyMap<string, Fingerprint>): void {
    for (const [stream, print] of expected) this.add(differenceOf(stream, print, found.get(stream)));
    for (const stream of found.keys()) {
      if (!expected.has(stream)) this.add(`${stream}: the source does not have it`);
    }
  }
}

function differenceOf(
  stream: string,
  print: Fingerprint,
  found: Fingerprint | undefined,
): string | undefined {
  if (found === undefined) return `${stream}: the target does not have it`;
  if (found.next !== print.next) return `${stream}: ${print.next} events in the source, ${found.next} here`;
  if (found.tombstone !== print.tombstone) return `${stream}: ended for ever on one side only`;
  return found.hash.equals(print.hash) ? undefined : `${stream}: its events are not those of the source`;
}

/** The audit chains of conversations, whatever word stands before their streams' names. */
class Chains {
  private readonly checks = new Map<string, StreamCheck>();

  get count(): number {
    return this.checks.size;
  }

  /** @returns where the chain breaks, once */
  take(event: CopiedEvent): string | undefined {
    const at = event.stream.indexOf(CONVERSATION_STREAM_PREFIX);
    if (at !== 0 && event.stream[at - 1] !== '.') return undefined;
    if (event.stream.startsWith('$') || event.type === TOMBSTONE_TYPE) return undefined;
    let check = this.checks.get(event.stream);
    if (check === undefined) this.checks.set(event.stream, (check = chainCheck()));
    const parsed = {
      ...{ stream: event.stream.slice(at), revision: asRevision(event.revision), position: event.position },
      ...{ id: asEventId(event.id), type: event.type, created: event.created },
      ...{ data: parse(event.data) ?? null, metadata: parse(event.metadata) ?? {} },
    };
    const broken = check.take([parsed]);
    return broken === undefined ? undefined : `${event.stream}: ${broken}`;
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

const passOf = (stream: string, count: number): number =>
  count === 1 ? 0 : createHash('sha256').update(stream).digest().readUInt32BE(0) % count;

function hashOf(previous: Buffer, event: CopiedEvent): Buffer {
  const { revision, id, type, isJson, data, metadata } = event;
  const head = JSON.stringify([String(revision), id, type, isJson, data.length, metadata.length]);
  return createHash('sha256').update(previous).update(head).update(data).update(metadata).digest();
}
