import type { Recorded } from '../domain/conversation/events';
import type { Refusal, StoredMessage } from '../domain/conversation/commands';
import type { Position } from '../kernel/position';
import type { Seq } from '../kernel/ids';

/** What became of a command. Infrastructure failures that a retry may cure are `unavailable`, never a throw. */
export type Outcome =
  | {
      readonly kind: 'accepted';
      readonly events: readonly Recorded[];
      /** Of the append that stored them. */
      readonly position: Position;
    }
  /** A send whose key is already stored with the same content. */
  | { readonly kind: 'repeated'; readonly message: StoredMessage }
  /** Nothing to do: the state already is as the command wants it. */
  | { readonly kind: 'unchanged'; readonly head: Seq | -1 }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'unavailable'; readonly detail: string; readonly retryAfterMs: number };
