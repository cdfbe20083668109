import type { Position } from '../../../src/kernel/position';
import {
  APPEND_BYTES_MAX,
  baseOf,
  forTarget,
  GONE_TYPE,
  goneEvent,
  TOMBSTONE_TYPE,
  type CopiedEvent,
} from './copied-event';
import { OtherContent, type Side } from './side';

/** Events that are on their way at once. Everything before them is in the target: that is where a copy resumes. */
export const PAGE_EVENTS_MAX = 512;
const PAGE_BYTES_MAX = 8 * 1_048_576;

/** Told as the copy goes on, by its place in the source. */
export type OnProgress = (position: bigint, events: number) => void;

export interface Copied {
  /** Position of the last event that was read; undefined: there was none to read. */
  readonly until: Position | undefined;
  /** Put into the target in this run. */
  readonly events: number;
}

/**
 * Puts every event of the source into the target, at the same revision of the same stream and under the same id, in
 * the source's order. Safe to repeat, and to kill: a second run goes on where the first one was.
 *
 * @throws OtherContent when the target holds something that is not from this source
 */
export async function copyLog(source: Side, target: Side, onProgress: OnProgress): Promise<Copied> {
  await refuseOtherBeginning(source, target);
  const { after, there } = await resumePoint(source, target);
  let page: CopiedEvent[] = [];
  let [bytes, events] = [0, 0];
  let until = after;
  const flush = async (): Promise<void> => {
    const fresh = page.filter((event) => !isThere(target, there, event));
    await copyPage(target, fresh);
    events += fresh.length;
    if (until !== undefined) onProgress(until.commit, events);
    [page, bytes] = [[], 0];
  };
  for await (const event of source.read(after)) {
    page.push(forTarget(event));
    bytes += event.data.length + event.metadata.length;
    until = event.position;
    if (page.length >= PAGE_EVENTS_MAX || bytes >= PAGE_BYTES_MAX) await flush();
  }
  await flush();
  const epoch = await source.epoch();
  if (epoch !== undefined && (await target.epoch()) !== epoch) await target.setEpoch(epoch);
  return { until, events };
}

async function copyPage(target: Side, page: readonly CopiedEvent[]): Promise<void> {
  const lanes = new Map<string, CopiedEvent[]>();
  for (const event of page) {
    const lane = lanes.get(baseOf(event.stream));
    if (lane === undefined) lanes.set(baseOf(event.stream), [event]);
    else lane.push(event);
  }
  await Promise.all([...lanes.values()].map((lane) => copyLane(target, lane)));
}

/** One stream and its metadata, in order: neighbours of one stream go in one append. */
async function copyLane(target: Side, lane: readonly CopiedEvent[]): Promise<void> {
  let run: CopiedEvent[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const [first, ...others] = run;
    if (first !== undefined) await append(target, [first, ...others]);
    [run, bytes] = [[], 0];
  };
  for (const event of lane) {
    const size = event.data.length + event.metadata.length;
    const last = run.at(-1);
    const follows = last?.stream === event.stream && last.revision + 1n === event.revision;
    if (!follows || bytes + size > APPEND_BYTES_MAX) await flush();
    if (event.type === TOMBSTONE_TYPE) await target.tombstone(event.stream);
    else {
      run.push(event);
      bytes += size;
    }
  }
  await flush();
}

async function append(target: Side, run: readonly [CopiedEvent, ...CopiedEvent[]]): Promise<void> {
  const [first] = run;
  const answer = await target.append(first.stream, run);
  if (answer.kind === 'appended') return;
  if (answer.kind === 'deleted' || answer.head >= first.revision) throw otherContent(target, first);
  await fillGap(target, first.stream, answer.head + 1n, first.revision);
  await append(target, run);
}

/** Revisions whose events the source no longer has. */
async function fillGap(target: Side, stream: string, from: bigint, to: bigint): Promise<void> {
  for (let next = from; next < to;) {
    const count = Math.min(Number(to - next), PAGE_EVENTS_MAX);
    const first = next;
    const events = Array.from({ length: count }, (_, n) => goneEvent(stream, first + BigInt(n)));
    const answer = await target.append(stream, events);
    if (answer.kind !== 'appended') throw new OtherContent(`${target.place}: ${stream} changes meanwhile`);
    next += BigInt(count);
  }
}

const isOwn = ({ type }: CopiedEvent): boolean => type === GONE_TYPE || type === TOMBSTONE_TYPE;
const placeOf = ({ stream, revision }: CopiedEvent): string => `${revision} of ${stream}`;

const otherContent = (target: Side, event: CopiedEvent): OtherContent =>
  new OtherContent(
    `${target.place} holds what is not from this source, see the event ${placeOf(event)}. Copy to an empty store.`,
  );

/** What the target begins with is from the source's beginning; what follows meets the copy, or the verification. */
async function refuseOtherBeginning(source: Side, target: Side): Promise<void> {
  const first = (await take(target.read(), PAGE_EVENTS_MAX)).filter((event) => !isOwn(event));
  if (first.length === 0) return;
  const mine = new Map(
    (await take(source.read(), 2 * PAGE_EVENTS_MAX)).map((event) => [placeOf(event), event.id]),
  );
  for (const event of first) if (mine.get(placeOf(event)) !== event.id) throw otherContent(target, event);
}

/** @throws OtherContent when another event is in the place */
function isThere(target: Side, there: ReadonlyMap<string, string>, event: CopiedEvent): boolean {
  const id = there.get(placeOf(event));
  // Ends have ids of their own in each store.
  if (id !== undefined && id !== event.id && !isOwn(event)) throw otherContent(target, event);
  return id !== undefined;
}

/**
 * Where to begin, and what of that is in the target already.
 *
 * The last run had one page under way. Whatever of it the target has last, that page began at most a page before it
 * in the source. Handing everything over again would not do: an append to a stream that was deleted begins it anew.
 */
async function resumePoint(
  source: Side,
  target: Side,
): Promise<{ readonly after: Position | undefined; readonly there: ReadonlyMap<string, string> }> {
  // One page that was under way, one before it, and one that the second may reach into.
  const tail = await take(target.readBackwards(), 3 * PAGE_EVENTS_MAX);
  const there = new Map(tail.map((event) => [placeOf(event), event.id]));
  let after: Position | undefined;
  for (const event of tail) {
    const [mine] = isOwn(event) ? [] : await source.readStream(event.stream, event.revision, 1);
    if (mine?.revision === event.revision) {
      if (mine.id !== event.id) throw otherContent(target, event);
      const before = await take(source.readBackwards(mine.position), PAGE_EVENTS_MAX);
      after = before.length < PAGE_EVENTS_MAX ? undefined : before.at(-1)?.position;
      break;
    }
    // Forgotten or deleted in the source since; or never there.
    const last = isOwn(event) ? 'hidden' : await source.lastRevision(event.stream);
    if (last === undefined || (last !== 'hidden' && last < event.revision)) throw otherContent(target, event);
  }
  return { after, there };
}

/** So many events that came from a source: those that only fill a place are left out. */
async function take(events: AsyncIterable<CopiedEvent>, count: number): Promise<readonly CopiedEvent[]> {
  const taken: CopiedEvent[] = [];
  for await (const event of events) if (event.type !== GONE_TYPE && taken.push(event) >= count) break;
  return taken;
}
