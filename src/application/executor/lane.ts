import type { ConversationId } from '../../kernel/ids';
import type { Job } from './job';

/** Commands of one conversation that may wait or be under way in one process. */
export const LANE_COMMANDS_MAX = 1_000;
/** Commands decided together, and appended at once. */
export const BATCH_COMMANDS_MAX = 256;

/** The queue of one conversation: in order, one batch at a time. Removed as soon as nothing is in it. */
export class Lane {
  private waiting: Job[] = [];
  /** Batches are taken from it, now or in this turn of the event loop. */
  isRunning = false;
  /** Commands not settled yet: waiting, in a batch, or being looked up. */
  size = 0;

  constructor(readonly id: ConversationId) {}

  get isFull(): boolean {
    return this.size >= LANE_COMMANDS_MAX;
  }

  get isWaiting(): boolean {
    return this.waiting.length > 0;
  }

  add(job: Job): void {
    this.waiting.push(job);
  }

  /** The oldest of them, BATCH_COMMANDS_MAX at most. */
  take(): readonly Job[] {
    if (this.waiting.length <= BATCH_COMMANDS_MAX) {
      const all = this.waiting;
      this.waiting = [];
      return all;
    }
    return this.waiting.splice(0, BATCH_COMMANDS_MAX);
  }

  /** Puts back, in front: what a batch could not hold, and what the index has answered. */
  putBack(jobs: readonly Job[]): void {
    if (jobs.length > 0) this.waiting = [...jobs, ...this.waiting];
  }
}
