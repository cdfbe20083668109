import type { ConversationId, Seq } from '../../kernel/ids';
import type { Position } from '../../kernel/position';

/** How far the read models are. */
export abstract class ProjectionProgress {
  /** True as soon as the live read models have passed `position`; false when `timeoutMs` runs out first. */
  abstract waitForPosition(position: Position, timeoutMs: number): Promise<boolean>;
  /**
   * A look at the read models found them no further than this, after it was said that they were: a store that crashed
   * came back without its last commits. Whoever waits from now on waits for more than was believed before.
   */
  abstract disbelieve(found: Position): void;
  /** True as soon as the live read models hold `seq` of the conversation; false on time-out. */
  abstract waitForSeq(conversationId: ConversationId, seq: Seq, timeoutMs: number): Promise<boolean>;
}
