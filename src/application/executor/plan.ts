import { assertNever } from '../../kernel/assert-never';
import { canonicalJson } from '../../kernel/json';
import { asSeq, toIso } from '../../kernel/ids';
import type { LookupRequest } from '../../domain/conversation/commands';
import { schemaVersionOf, toStored, type EventMetadata } from '../../domain/conversation/codec';
import { decide } from '../../domain/conversation/decide';
import type { ConversationEvent, Recorded } from '../../domain/conversation/events';
import { evolve } from '../../domain/conversation/evolve';
import type { ConversationState } from '../../domain/conversation/state';
import { chainHash, eventIdOf } from '../audit-chain';
import type { Outcome } from '../outcome';
import { refused } from '../outcomes';
import { APPEND_BYTES_MAX, type NewEvent } from '../ports/event-log';
import type { Job } from './job';
import type { Warm } from './warm';

/** A batch ends at this size, so that one append stays quick and far from APPEND_BYTES_MAX. */
export const BATCH_BYTES_MAX = APPEND_BYTES_MAX / 2;

/** Everything in the metadata's JSON but the texts of the request: names, three ids, time, hash. */
const METADATA_BYTES = 384;
/** A character of a request's text takes at most this many bytes in JSON. */
const ESCAPED_BYTES_MAX = 6;

/** What was decided about one command; it counts only when the plan's events are in the log. */
export type Planned =
  | { readonly kind: 'accepted'; readonly events: readonly Recorded[] }
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  | { readonly kind: 'lookup'; readonly request: LookupRequest }
  /** Deciding threw: a bug, which must hurt this command alone. */
  | { readonly kind: 'failed'; readonly error: unknown };

/** One append, and what it makes of the commands in it. */
export interface Plan {
  /** For the first commands of the batch, in order; those left over did not fit. */
  readonly planned: readonly Planned[];
  readonly events: readonly NewEvent[];
  /** Of the traced commands among them; undefined: none is. */
  readonly traceparents: readonly string[] | undefined;
  /** The conversation once `events` are stored. */
  readonly next: Warm;
  /**
   * Somebody is refused, or told that nothing is to be done: not to be said on the strength of a state that
   * another node may have changed meanwhile.
   */
  readonly needsFreshState: boolean;
}

interface Progress {
  state: ConversationState | undefined;
  hash: string;
  bytes: number;
  readonly events: NewEvent[];
}

/** Decides one command after the other, each on what those before it made of the conversation. Pure. */
export function plan(warm: Warm, jobs: readonly Job[]): Plan {
  const progress: Progress = { state: warm.state, hash: warm.hash, bytes: 0, events: [] };
  const planned: Planned[] = [];
  let needsFreshState = false;
  for (const job of jobs) {
    const one = planOne(progress, job);
    if (one === undefined) break;
    planned.push(one);
    needsFreshState ||= one.kind === 'settled' && dependsOnFreshness(one.outcome, job);
  }
  const { state, hash, events } = progress;
  const next = { state, hash, snapshotSeq: warm.snapshotSeq };
  return { planned, events, traceparents: traceparentsOf(jobs), next, needsFreshState };
}

/** Nearly always there are none, and then nothing is allocated. */
function traceparentsOf(jobs: readonly Job[]): readonly string[] | undefined {
  let found: string[] | undefined;
  for (const { context } of jobs) {
    if (context?.traceparent !== undefined) (found ??= []).push(context.traceparent);
  }
  return found;
}

/** A stored message stays stored, and cursors only move forward: those answers cannot become wrong. */
function dependsOnFreshness(outcome: Outcome, job: Job): boolean {
  if (outcome.kind === 'refused') return true;
  const { type } = job.command;
  return outcome.kind === 'unchanged' && type !== 'RecordDelivered' && type !== 'RecordRead';
}

/** undefined: its events no longer fit into this append. */
function planOne(progress: Progress, job: Job): Planned | undefined {
  try {
    const decision = decide(job.command, progress.state);
    switch (decision.kind) {
      case 'accepted':
        return record(progress, job, decision.events);
      case 'lookup':
        return { kind: 'lookup', request: decision.request };
      case 'unchanged':
        return { kind: 'settled', outcome: { kind: 'unchanged', head: progress.state?.head ?? -1 } };
      case 'repeated':
      case 'refused':
        return { kind: 'settled', outcome: decision };
      default:
        return assertNever(decision);
    }
  } catch (error) {
    return { kind: 'failed', error };
  }
}

function record(progress: Progress, job: Job, events: readonly ConversationEvent[]): Planned | undefined {
  const { conversationId, at } = job.command;
  const iso = toIso(at);
  const draft = { ...progress };
  const stored: NewEvent[] = [];
  const recorded: Recorded[] = [];
  const overhead = METADATA_BYTES + ESCAPED_BYTES_MAX * requestTextLength(job);
  for (const event of events) {
    const seq = asSeq((draft.state?.head ?? -1) + 1);
    const { type, data } = toStored(event);
    const text = canonicalJson(data);
    draft.hash = chainHash(draft.hash, { conversationId, seq, at: iso, type, data: text });
    draft.bytes += Buffer.byteLength(text) + overhead;
    stored.push({
      id: eventIdOf(draft.hash),
      type,
      data,
      dataText: text,
      metadata: metadataOf(job, event, iso, draft.hash),
    });
    const one: Recorded = { conversationId, seq, at, event };
    recorded.push(one);
    draft.state = evolve(draft.state, one);
  }
  if (draft.bytes > BATCH_BYTES_MAX && progress.events.length > 0) return undefined;
  if (draft.bytes > APPEND_BYTES_MAX) {
    return { kind: 'settled', outcome: refused('too_large', 'This is more than can be stored at once.') };
  }
  progress.events.push(...stored);
  progress.state = draft.state;
  progress.hash = draft.hash;
  progress.bytes = draft.bytes;
  return { kind: 'accepted', events: recorded };
}

const requestTextLength = ({ context }: Job): number =>
  (context?.correlationId?.length ?? 0) + (context?.traceparent?.length ?? 0);

function metadataOf({ id, context }: Job, event: ConversationEvent, at: string, hash: string): EventMetadata {
  const traceparent = context?.traceparent;
  return {
    schemaVersion: schemaVersionOf(event),
    correlationId: context?.correlationId ?? id,
    causationId: id,
    ...(traceparent === undefined ? {} : { traceparent }),
    at,
    hash,
  };
}
