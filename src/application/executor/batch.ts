import { assertNever } from '../../kernel/assert-never';
import { conversationStream } from '../../domain/conversation/streams';
import { asSeq, toRevision, type ConversationId } from '../../kernel/ids';
import type { Position } from '../../kernel/position';
import { isUnavailable, LOG_UNAVAILABLE, refused } from '../outcomes';
import type { Outcome } from '../outcome';
import {
  AppendOutcomeUnknown,
  AppendTooLarge,
  StreamDeletedError,
  type EventLog,
  type ExpectedRevision,
} from '../ports/event-log';
import { beginStep } from '../ports/tracing';
import type { Job } from './job';
import { plan, type Plan, type Planned } from './plan';
import type { SnapshotWriter } from './snapshot-writer';
import { headOf, type Warm } from './warm';
import type { WarmConversations } from './warm-conversations';

/** How often another node may be first before the commands are handed back as `unavailable`. */
export const CONFLICT_ATTEMPTS_MAX = 20;
/** How often an append whose outcome nobody knows is made again. */
export const UNKNOWN_ATTEMPTS_MAX = 3;

/** What an append came to, as far as the next step depends on it. */
type Attempt =
  | { readonly kind: 'stored'; readonly position: Position }
  /** Decide again, on what is now known of the conversation. */
  | { readonly kind: 'again'; readonly warm: Warm }
  | { readonly kind: 'given up'; readonly outcome: Outcome }
  | { readonly kind: 'too large' };

interface Attempts {
  conflicts: number;
  unknown: number;
}

export interface Handed {
  /** Commands that wait for the permanent index's word. */
  readonly lookups: readonly { readonly job: Job; readonly request: Lookup['request'] }[];
  /** Commands that did not fit into the append; first in the next one. */
  readonly rest: readonly Job[];
}

type Lookup = Extract<Planned, { kind: 'lookup' }>;

/** Takes the commands gathered for one conversation through one append, and settles them. */
export class BatchWriter {
  constructor(
    private readonly log: EventLog,
    private readonly conversations: WarmConversations,
    private readonly snapshots: SnapshotWriter,
  ) {}

  /** Settles every job but those it hands back. Rejects only for bugs; the unsettled jobs are then the caller's. */
  async write(id: ConversationId, jobs: readonly Job[]): Promise<Handed> {
    this.conversations.beginAppend(id);
    try {
      return await this.decideAndAppend(id, jobs);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return this.giveUp(jobs, LOG_UNAVAILABLE);
    } finally {
      this.conversations.endAppend(id);
    }
  }

  private async decideAndAppend(id: ConversationId, jobs: readonly Job[]): Promise<Handed> {
    let warm = this.conversations.peek(id);
    let isFresh = warm === undefined;
    warm ??= await this.conversations.fetch(id);
    let batch = jobs;
    const attempts: Attempts = { conflicts: 0, unknown: 0 };
    for (;;) {
      const planned = plan(warm, batch);
      if (planned.events.length === 0) {
        if (isFresh || !planned.needsFreshState) return this.settle(jobs, planned, undefined);
        ({ warm } = await this.conversations.refresh(id, warm));
        isFresh = true;
        continue;
      }
      const attempt = await this.append(id, warm, planned, attempts);
      switch (attempt.kind) {
        case 'stored':
          this.conversations.keep(id, this.snapshots.consider(id, planned.next));
          return this.settle(jobs, planned, attempt.position);
        case 'given up':
          return this.giveUp(jobs, attempt.outcome);
        case 'too large':
          // The log counts otherwise than we do. Halved until it fits, or one command alone does not.
          if (batch.length === 1) return this.giveUp(jobs, TOO_LARGE);
          batch = batch.slice(0, Math.ceil(batch.length / 2));
          break;
        case 'again':
          warm = attempt.warm;
          isFresh = true;
          break;
        default:
          assertNever(attempt);
      }
    }
  }

  private async append(id: ConversationId, warm: Warm, planned: Plan, attempts: Attempts): Promise<Attempt> {
    const head = headOf(warm);
    const expected: ExpectedRevision = head === -1 ? 'noStream' : toRevision(asSeq(head));
    const step = beginStep('append', 'producer', planned.traceparents, {
      'parley.conversation': id,
      'parley.events': planned.events.length,
    });
    try {
      const result = await this.log.append(conversationStream(id), planned.events, { expected });
      if (result.kind === 'appended') return { kind: 'stored', position: result.position };
      attempts.conflicts++;
    } catch (error) {
      if (error instanceof AppendTooLarge) return { kind: 'too large' };
      if (error instanceof StreamDeletedError) return { kind: 'given up', outcome: DELETED };
      if (!(error instanceof AppendOutcomeUnknown)) {
        if (!isUnavailable(error)) this.conversations.forget(id);
        throw error;
      }
      attempts.unknown++;
    } finally {
      step?.end();
    }
    return this.lookBehind(id, warm, planned, attempts);
  }

  /**
   * Somebody else was first, or the answer got lost. The stream's tail tells which: our events stand in it, all of
   * them or none, because their ids are made of what they say and where they stand. If they do not, they
   * may still be on their way; deciding again on the same state makes the same events with the same ids, which
   * the log takes once, and on another state the late ones no longer fit.
   */
  private async lookBehind(
    id: ConversationId,
    warm: Warm,
    planned: Plan,
    attempts: Attempts,
  ): Promise<Attempt> {
    const last = planned.events.at(-1)?.id;
    const refreshed = await this.conversations.refresh(id, warm, last);
    if (refreshed.position !== undefined) return { kind: 'stored', position: refreshed.position };
    if (headOf(refreshed.warm) === headOf(warm) && attempts.unknown === 0) {
      // Refused for a revision that is not there: what was remembered is not this log's.
      this.conversations.forget(id);
    }
    if (attempts.conflicts >= CONFLICT_ATTEMPTS_MAX || attempts.unknown >= UNKNOWN_ATTEMPTS_MAX) {
      return { kind: 'given up', outcome: LOG_UNAVAILABLE };
    }
    return { kind: 'again', warm: this.conversations.peek(id) ?? (await this.conversations.fetch(id)) };
  }

  /** `position`: of the append that stored the plan's events; undefined when it has none. */
  private settle(jobs: readonly Job[], { planned }: Plan, position: Position | undefined): Handed {
    const lookups: { job: Job; request: Lookup['request'] }[] = [];
    planned.forEach((one, n) => {
      const job = jobs[n] as Job;
      switch (one.kind) {
        case 'accepted':
          if (position === undefined) throw new Error('accepted without an append');
          job.settle({ kind: 'accepted', events: one.events, position });
          break;
        case 'settled':
          job.settle(one.outcome);
          break;
        case 'lookup':
          lookups.push({ job, request: one.request });
          break;
        case 'failed':
          job.fail(one.error);
          break;
        default:
          assertNever(one);
      }
    });
    return { lookups, rest: jobs.slice(planned.length) };
  }

  private giveUp(jobs: readonly Job[], outcome: Outcome): Handed {
    for (const job of jobs) job.settle(outcome);
    return { lookups: [], rest: [] };
  }
}

const TOO_LARGE = refused('too_large', 'This is more than can be stored at once.');
const DELETED = refused('not_found', 'There is no such conversation, or you are not a member of it.');
