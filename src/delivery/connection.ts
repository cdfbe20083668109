import type { ConversationId, DeviceId, Seq, UserId } from '../kernel/ids';
import type { ServerFrame } from '../protocol/frames';

/** An event on its way to one node's sockets: encoded once, whatever the number of receivers. */
export interface Push {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  /** The whole frame, UTF-8. */
  readonly bytes: Buffer;
}

/**
 * What the answer of a `sync` was about. `all`: everything there is. `nothing`: it was refused. A function: the
 * conversations for which it holds; of others, the answer could not know. What comes of those is not pushed, for the
 * device would take it for the beginning: it is told to `resync` instead, and that answer is about them, too.
 */
export type Answered = 'all' | 'nothing' | ((conversationId: ConversationId) => boolean);

/** What delivery knows of one authenticated socket. Implemented by the gateway's session. */
export interface Connection {
  readonly sessionId: string;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  /**
   * When the socket was opened, in milliseconds of this node's monotonic clock. Of two sockets of one device the
   * later one is the device's: frames of a connection that it has given up may still arrive.
   */
  readonly openedAt: number;
  /** The conversation on this device's screen. */
  readonly focused: ConversationId | undefined;
  /**
   * Hands an event over; never blocks, never throws. Seqs of one conversation must rise; one at or below the
   * last pushed is dropped. Past the high-water mark the push is remembered as "conversation moved" only.
   */
  push(push: Push): void;
  /**
   * The event is not pushed, because the conversation is very large and this device does not focus it. Before the
   * next push of the conversation, and when it is focused, the device is told to `resync` it, unless it has synced
   * past the event meanwhile.
   */
  withhold(conversationId: ConversationId, seq: Seq): void;
  /** Tells the device at once to `resync` the conversation, if anything of it was withheld. */
  catchUp(conversationId: ConversationId): void;
  /** An ephemeral frame (typing, presence, hints): dropped when the socket is past its high-water mark. */
  hint(bytes: Buffer): void;
  /** Part of an answer: always queued, counted against the outbound limit. Resolves when there is room for more. */
  answer(frame: ServerFrame): Promise<void>;
  /** From now on pushes wait (PUSHES_HELD_MAX; beyond it the conversation is only remembered as moved). */
  hold(): void;
  /**
   * Ends `hold`: waiting pushes at or below `synced(conversationId)` are dropped, the others follow in order;
   * what did not fit is told by `resync`.
   */
  release(synced: (conversationId: ConversationId) => Seq | undefined, answered: Answered): void;
  /** Conversations that the device was told to `resync`, and that no `sync` has been answered since. */
  readonly owed: Iterable<ConversationId>;
  close(reason: 'signedOut' | 'draining' | 'tooSlow' | 'internalError'): void;
}
