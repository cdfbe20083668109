/** Every limit a client can meet, with its default (PROTOCOL.md section 3); sent in `ready.limits`. */
export interface Limits {
  readonly frameBytesMax: number;
  readonly syncFrameBytesMax: number;
  /** UTF-8 bytes of a text body. */
  readonly bodyBytesMax: number;
  readonly membersMax: number;
  readonly syncCursorsMax: number;
  readonly presenceWatchMax: number;
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  readonly framesPerSecond: number;
  readonly socketsPerUserMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  frameBytesMax: 65_536,
  syncFrameBytesMax: 1_048_576,
  bodyBytesMax: 16_384,
  membersMax: 1_000,
  syncCursorsMax: 10_000,
  presenceWatchMax: 500,
  messagesPerSecond: 10,
  messagesBurst: 60,
  framesPerSecond: 50,
  socketsPerUserMax: 20,
};

export const HEARTBEAT_MS = 25_000;
export const HEARTBEAT_GRACE_MS = 10_000;
export const AUTH_TIMEOUT_MS = 10_000;
export const SYNC_RECENT_DEFAULT = 50;
export const SYNC_RECENT_MAX = 1_000;
export const SYNC_WINDOW_DEFAULT = 200;
export const SYNC_WINDOW_MAX = 1_000;
export const PAGE_LIMIT_DEFAULT = 50;
export const PAGE_LIMIT_MAX = 200;
export const EVENTS_LIMIT_MAX = 1_000;
