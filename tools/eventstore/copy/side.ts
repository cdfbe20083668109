import type { Position } from '../../../src/kernel/position';
import type { CopiedEvent } from './copied-event';

export type SideAppend =
  | { readonly kind: 'appended' }
  /** Nothing was written; revision of the stream's last event, -1n without any. */
  | { readonly kind: 'elsewhere'; readonly head: bigint }
  | { readonly kind: 'deleted' };

/** One end of a copy: an engine's folder, or a server. All events are of streams that are copied, in the log's order. */
export interface Side {
  /** For people. */
  readonly place: string;
  /** Commit position of the last event, for showing how far one is. */
  head(): Promise<bigint>;
  /** @param after exclusive */
  read(after?: Position): AsyncIterable<CopiedEvent>;
  readBackwards(before?: Position): AsyncIterable<CopiedEvent>;
  /** From a revision on, as far as it can still be read; empty for a stream that is not there or was deleted. */
  readStream(stream: string, from: bigint, limit: number): Promise<readonly CopiedEvent[]>;
  /** Of the last event that can be read; `hidden`: there were some, and none can be read. */
  lastRevision(stream: string): Promise<bigint | 'hidden' | undefined>;
  /** The events, whose revisions are adjacent, after the one before the first of them. */
  append(stream: string, events: readonly CopiedEvent[]): Promise<SideAppend>;
  tombstone(stream: string): Promise<void>;
  /** undefined: it never had one. */
  epoch(): Promise<string | undefined>;
  setEpoch(epoch: string): Promise<void>;
  close(): Promise<void>;
}

/** The two sides do not hold the same; the copy stops, and nothing that is in the target is changed. */
export class OtherContent extends Error {
  override readonly name = 'OtherContent';
}
