import { uuidv7 } from '../../kernel/uuid';
import type { ConversationCommand } from '../../domain/conversation/commands';
import type { RequestContext } from '../commands/commands';
import type { Outcome } from '../outcome';

/** A command on its way through a lane, until it is settled. */
export class Job {
  /** Assigned once, so that the command's events carry the same cause however often it is decided again. */
  readonly id = uuidv7();
  /** How often it was looked up in the permanent index. */
  lookups = 0;
  readonly outcome: Promise<Outcome>;
  private resolve!: (outcome: Outcome) => void;
  private reject!: (error: unknown) => void;
  private isSettled = false;

  /** @param onSettled called once, before anybody who waits for the outcome goes on */
  constructor(
    public command: ConversationCommand,
    readonly context: RequestContext | undefined,
    private readonly onSettled: () => void,
  ) {
    this.outcome = new Promise<Outcome>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  settle(outcome: Outcome): void {
    if (this.end()) this.resolve(outcome);
  }

  /** For bugs alone: everything expected is an outcome. */
  fail(error: unknown): void {
    if (this.end()) this.reject(error);
  }

  /** False when it had ended before. */
  private end(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.onSettled();
    return true;
  }
}
