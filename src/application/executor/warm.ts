import type { ConversationState } from '../../domain/conversation/state';
import { CHAIN_START } from '../audit-chain';

/** What the next decision about a conversation stands on; replaced, never changed. */
export interface Warm {
  /** undefined: there is no such conversation yet. */
  readonly state: ConversationState | undefined;
  /** The audit chain's hash of the event at the head. */
  readonly hash: string;
  /** Seq that the last snapshot holds; -1: there is none. */
  readonly snapshotSeq: number;
}

/** Before a conversation's first event. */
export const UNSTARTED: Warm = { state: undefined, hash: CHAIN_START, snapshotSeq: -1 };

export const headOf = (warm: Warm): number => warm.state?.head ?? -1;
