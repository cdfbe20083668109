/** The client of Parley: `ParleyClient` is a device on the socket, `ParleyApi` speaks REST. No dependencies. */
export { ParleyApi, type ApiOptions, type List, type NewConversation, type Session } from './api';
export { ParleyClient } from './client';
export type { ClientOptions, Recipient, SendContent, SendOptions, Sent } from './client-options';
export type { SocketConstructor, SocketLike } from './connection';
export { LocalConversations } from './conversations';
export {
  ClientStopped,
  ConnectionLost,
  isRetryable,
  OutboxFull,
  ParleyError,
  type StopReason,
} from './errors';
export type { ClientEvents, OutboxChange } from './events';
export { MessageIds } from './ids';
export { LocalConversation } from './local-conversation';
export type { LocalContent, LocalMessage } from './local-message';
export { OUTBOX_MAX, type Ack } from './outbox';
export {
  MemoryCursorStore,
  MemoryOutboxStore,
  type CursorState,
  type CursorStore,
  type OutboxEntry,
  type OutboxStore,
} from './stores';
export type { TokenProvider } from './tokens';
