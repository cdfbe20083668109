import type { SocketConstructor } from './connection';
import type { LocalMessage } from './local-message';
import type { Ack } from './outbox';
import type { CursorStore, OutboxStore, SendData } from './stores';
import type { TokenProvider } from './tokens';

export interface ClientOptions {
  /** Of the server, as `http://127.0.0.1:3000`. */
  readonly url: string;
  /** An access token, or who gives one; exactly one of the two. A provider survives the token's expiry. */
  readonly token?: string;
  readonly tokenProvider?: TokenProvider;
  /** 1..64 of `A-Za-z0-9_-`, stable over restarts; absent: a new one for this run. */
  readonly deviceId?: string;
  readonly deviceName?: string;
  readonly platform?: string;
  /** Absent: in memory. */
  readonly cursorStore?: CursorStore;
  readonly outboxStore?: OutboxStore;
  /** Absent: the global one of browsers. */
  readonly WebSocket?: SocketConstructor;
  /** Send `delivered` for what arrives; default true. */
  readonly autoDelivered?: boolean;
  readonly deliveredWindowMs?: number;
  /** Conversations beyond those that moved, in the answer to a sync; default the server's. */
  readonly syncRecent?: number;
  /** Events per conversation at most in a sync; default the server's. */
  readonly syncWindow?: number;
  /** From [0, 1), for the jitter of reconnects. */
  readonly random?: () => number;
  /** Milliseconds of the device's wall clock, which nothing but the ids of messages is taken from. */
  readonly now?: () => number;
}

export interface Recipient {
  readonly conversationId?: string;
  /** A user: their direct conversation, made if need be. */
  readonly to?: string;
}
export type SendContent = SendData['content'];
export type SendOptions = Pick<SendData, 'replyTo' | 'threadOf' | 'mentions'>;

export interface Sent {
  /** To be shown at once; the same object changes as it is stored. */
  readonly message: LocalMessage;
  /** Resolves when the message is durable; rejects with ParleyError, OutboxFull or ClientStopped. */
  readonly acked: Promise<Ack>;
}
