import { decide } from '../../src/domain/conversation/decide';
import { evolveWithin } from '../../src/domain/conversation/evolve';
import type {
  ConversationCommand,
  IndexAnswer,
  LookupRequest,
  SendMessage,
  StoredMessage,
  TargetMessage,
} from '../../src/domain/conversation/commands';
import type { Decision } from '../../src/domain/conversation/decision';
import type { Recorded } from '../../src/domain/conversation/events';
import { STATE_LIMITS, type ConversationState, type StateLimits } from '../../src/domain/conversation/state';
import { asSeq, type Seq } from '../../src/kernel/ids';
import { atSeq, CONVERSATION } from './given-conversation';

/**
 * One conversation with a log that forgets nothing: what random commands do to it is compared with what the
 * bounded state says about them.
 */
export class ConversationSimulation {
  readonly log: Recorded[] = [];
  state: ConversationState | undefined;
  private readonly evolve: ReturnType<typeof evolveWithin>;

  constructor(limits: StateLimits = STATE_LIMITS) {
    this.evolve = evolveWithin(limits);
  }

  /** Decides, and records what was accepted at the end of the log. */
  handle(command: ConversationCommand): Decision {
    const decision = decide(command, this.state);
    if (decision.kind === 'accepted') {
      for (const event of decision.events) {
        const seq = asSeq(this.log.length);
        const recorded = { conversationId: CONVERSATION, seq, at: atSeq(seq), event };
        this.log.push(recorded);
        this.state = this.evolve(this.state, recorded);
      }
    }
    return decision;
  }

  /** The state as somebody who reads the log from its beginning makes it. */
  folded(): ConversationState | undefined {
    return this.log.reduce<ConversationState | undefined>(
      (state, recorded) => this.evolve(state, recorded),
      undefined,
    );
  }

  /** The first message with this key, of all that ever were. */
  stored({ by, clientMessageId }: Pick<SendMessage, 'by' | 'clientMessageId'>): StoredMessage | undefined {
    for (const { seq, at, event } of this.log) {
      if (event.type !== 'MessageSent' || event.by !== by || event.clientMessageId !== clientMessageId)
        continue;
      const { messageId, ordinal, contentHash } = event;
      return { messageId, seq, ordinal, at, contentHash };
    }
    return undefined;
  }

  /**
   * The permanent index's word, when it has seen `lag` events fewer than there are, but as many as it must.
   */
  lookUp(request: LookupRequest, lag: number): IndexAnswer {
    const needed = request.after === undefined ? -1 : (this.stored(request.after)?.seq ?? -1);
    const reached = Math.max(needed, this.log.length - 1 - lag);
    const found = this.stored(request);
    return { found: found !== undefined && found.seq <= reached ? found : undefined, asOf: request.asOf };
  }

  /** What the executor reads from the log for a command on a message. */
  message(target: Seq): TargetMessage | undefined {
    const recorded = this.log[target];
    if (recorded?.event.type !== 'MessageSent') return undefined;
    return { seq: recorded.seq, by: recorded.event.by, at: recorded.at };
  }
}
