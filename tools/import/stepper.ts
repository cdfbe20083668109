import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestContext } from '../../src/application/commands/commands';
import type { Outcome } from '../../src/application/outcome';
import type { ConversationCommand } from '../../src/domain/conversation/commands';
import { assertNever } from '../../src/kernel/assert-never';
import type { Clock } from '../../src/kernel/clock';
import type { ConversationId, Seq } from '../../src/kernel/ids';
import { contentHashOf, IMPORTER_ID, messageIdOf, nickId } from './keys';
import type { Imported } from './imported';
import type { Step } from './plan';

/** Commands of one conversation under way at one time: enough for the executor to fill its batches. */
export const STEPS_AHEAD_MAX = 512;
export const RETRIES_MAX = 20;
export const RETRY_MS = 500;

type Execute = (command: ConversationCommand, context: RequestContext) => Promise<Outcome>;

export interface StepperIo {
  readonly execute: Execute;
  readonly clock: Clock;
  /** A command that got no answer because a store is away is tried again; this tells who may help. */
  readonly unavailable: (detail: string) => void;
}

/** The stores stayed away for too long. Everything done so far is kept; the next run goes on from there. */
export class ImportStalled extends Error {
  override readonly name = 'ImportStalled';
}

export type StepResult =
  | { readonly kind: 'done' | 'before'; readonly seq: Seq | undefined }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * Takes the steps of one conversation, many at a time; the executor decides them in the order of the calls. Only
 * when a store goes away in the middle can those already handed over overtake one that must be tried again.
 */
export class Stepper {
  /** Line of a message → its seq, once known. */
  private readonly seqs = new Map<number, Promise<Seq | undefined>>();
  /** Oldest first; they end in about this order. */
  private ahead: Promise<void>[] = [];
  /** A store was away since `ahead` was last empty: what is refused may only have overtaken what it needs. */
  private isTroubled = false;
  private failed: Error | undefined;

  constructor(
    private readonly conversationId: ConversationId,
    private readonly imported: Imported,
    private readonly io: StepperIo,
    private readonly report: (step: Step, result: StepResult) => void,
  ) {}

  /** @throws ImportStalled */
  async take(steps: readonly Step[]): Promise<void> {
    this.seqs.clear();
    for (const step of steps) {
      const seq = this.imported.get(step.id);
      if (seq !== undefined) {
        if (step.kind === 'say') this.seqs.set(step.line, Promise.resolve(seq));
        this.report(step, { kind: 'before', seq });
        continue;
      }
      await this.launch(step);
      if (this.failed !== undefined) break;
    }
    await this.settle();
    if (this.failed !== undefined) throw this.failed;
  }

  private async launch(step: Step): Promise<void> {
    // The seq of what it answers must be known first: it is part of the message.
    const replyTo =
      step.kind === 'say' && step.answers !== undefined ? await this.seqs.get(step.answers) : undefined;
    if (this.isTroubled) await this.settle();
    if (this.ahead.length >= STEPS_AHEAD_MAX) await this.ahead.shift();
    const result = this.execute(this.commandFor(step, replyTo), step);
    if (step.kind === 'say') {
      this.seqs.set(
        step.line,
        result
          .then((outcome) => (outcome.kind === 'refused' ? undefined : outcome.seq))
          .catch(() => undefined),
      );
    }
    const settled = result
      .then((outcome) => {
        this.report(step, outcome);
      })
      .catch((error: unknown) => {
        this.failed ??= error instanceof Error ? error : new Error(String(error));
      });
    this.ahead.push(settled);
  }

  private async settle(): Promise<void> {
    await Promise.all(this.ahead);
    this.ahead = [];
    this.isTroubled = false;
  }

  private async execute(command: ConversationCommand, step: Step): Promise<StepResult> {
    for (let attempt = 0; attempt < RETRIES_MAX; attempt++) {
      const outcome = await this.io.execute(command, { correlationId: step.id });
      switch (outcome.kind) {
        case 'accepted':
          return { kind: 'done', seq: outcome.events[0]?.seq };
        case 'repeated':
          return { kind: 'before', seq: outcome.message.seq };
        case 'unchanged':
          return { kind: 'before', seq: undefined };
        case 'refused':
          if (this.isTroubled && attempt < RETRIES_MAX - 1) {
            await sleep(RETRY_MS);
            break;
          }
          return { kind: 'refused', why: `${outcome.refusal.code}: ${outcome.refusal.detail}` };
        case 'unavailable':
          this.isTroubled = true;
          this.io.unavailable(outcome.detail);
          await sleep(Math.max(outcome.retryAfterMs, RETRY_MS));
          break;
        default:
          assertNever(outcome);
      }
    }
    throw new ImportStalled(`line ${step.line}: the stores did not take it in ${RETRIES_MAX} attempts`);
  }

  private commandFor(step: Step, replyTo: Seq | undefined): ConversationCommand {
    const base = { conversationId: this.conversationId, at: this.io.clock.now() };
    const userId = nickId(step.nick);
    switch (step.kind) {
      case 'start':
        return {
          ...base,
          type: 'StartConversation',
          by: IMPORTER_ID,
          kind: 'group',
          memberIds: [IMPORTER_ID],
          title: step.title,
        };
      case 'join':
        return { ...base, type: 'AddMembers', by: IMPORTER_ID, userIds: [userId] };
      case 'leave':
        return { ...base, type: 'LeaveConversation', by: userId };
      case 'kick':
        return { ...base, type: 'RemoveMember', by: IMPORTER_ID, userId };
      case 'say': {
        const message = {
          content: { type: 'text', body: step.body },
          originalAt: step.originalAt,
          ...(replyTo === undefined ? {} : { replyTo }),
        };
        return {
          ...base,
          ...message,
          type: 'SendMessage',
          by: userId,
          clientMessageId: step.key,
          messageId: messageIdOf(this.conversationId, step.key),
          contentHash: contentHashOf(message),
        };
      }
      default:
        return assertNever(step);
    }
  }
}
