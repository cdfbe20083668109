/** Every bound of the gateway that a client is not told about; those it is told about are `Config.limits`. */
export interface GatewayLimits {
  /** Frames of one socket that may wait for their turn before the socket is no longer read. */
  readonly framesWaitingMax: number;
  /** Bytes of such frames. One read of the socket (64 KiB, or one frame) may come on top. */
  readonly inboundBytesMax: number;
  /** Frames of one socket handled before other sockets get their turn. */
  readonly laneTurnFramesMax: number;
  /** Bytes outbound, ours and Node's, above which a socket is slow. */
  readonly outboundHighWaterBytes: number;
  /** Bytes gathered within one turn of the event loop before they are written at once. */
  readonly flushBytes: number;
  /** Pushes (and, as bytes, at most `outboundHighWaterBytes`) that wait for the end of a `sync`. */
  readonly pushesHeldMax: number;
  /** Conversations that `resync` may name; a socket that missed more is closed. */
  readonly resyncConversationsMax: number;
  /** Very large conversations not on the screen whose withheld events are remembered; of more, `resync` tells. */
  readonly withheldConversationsMax: number;
  /** Conversations whose last pushed seq is remembered for one socket. */
  readonly lastPushedMax: number;
  /** How long after a `sync` pushes that it already contained are still recognised, in milliseconds. */
  readonly syncFloorMs: number;
  /** A slow socket that has not taken everything within this time is closed. */
  readonly slowSocketMs: number;
  /** Silence past a ping before the peer counts as gone. */
  readonly heartbeatGraceMs: number;
  /** How often sockets are looked after: heartbeats, time-outs, token expiry. */
  readonly tickMs: number;
  /** Frames refused for their rate before the socket is closed. */
  readonly rateBreachesMax: number;
  /** Time without a refusal after which earlier ones are forgotten. */
  readonly rateBreachesForgottenMs: number;
  /** A drain sends sockets away one after another over at most this time, and serves those whose turn has not come. */
  readonly drainSpreadMs: number;
  /** From one socket that is sent away to the next, while `drainSpreadMs` lets there be so much time. */
  readonly drainStepMs: number;
  /** `reconnect.afterMs` is at most this: a device is away for so long, and what is sent to it waits. */
  readonly reconnectJitterMs: number;
  /** A drain takes this long at most. */
  readonly drainMs: number;
  /** A peer that does not answer our close frame is cut off after this time. */
  readonly closeTimeoutMs: number;
}

export const GATEWAY_LIMITS_DEFAULT: GatewayLimits = {
  framesWaitingMax: 256,
  inboundBytesMax: 1_048_576,
  laneTurnFramesMax: 32,
  outboundHighWaterBytes: 262_144,
  flushBytes: 65_536,
  pushesHeldMax: 1_000,
  resyncConversationsMax: 1_000,
  withheldConversationsMax: 128,
  lastPushedMax: 128,
  syncFloorMs: 10_000,
  slowSocketMs: 30_000,
  heartbeatGraceMs: 10_000,
  tickMs: 1_000,
  rateBreachesMax: 1_000,
  rateBreachesForgottenMs: 10_000,
  drainSpreadMs: 5_000,
  drainStepMs: 10,
  reconnectJitterMs: 100,
  drainMs: 8_000,
  closeTimeoutMs: 3_000,
};

/** Injection token of {@link GatewayLimits}. */
export const GATEWAY_LIMITS = Symbol('GatewayLimits');

/** Other frames than messages: a socket may spend this many seconds' worth of `framesPerSecond` at once. */
export const FRAMES_BURST_SECONDS = 2;
/** Users and sockets whose rates are remembered; far above the sockets one process can hold. */
export const RATE_KEYS_MAX = 65_536;
/** Fragments of one message, and chunks it may arrive in: a frame of the largest size in 64-byte pieces. */
export const FRAGMENTS_MAX = 1_024;
export const BUFFERED_CHUNKS_MAX = 32_768;
/** Levels of nesting in `call.signal`: what is passed on is encoded again, and the encoder recurses. */
export const SIGNAL_DEPTH_MAX = 32;
/** The same typing state of the same conversation again within this time says nothing new. */
export const TYPING_REPEAT_MS = 1_000;
/** `retryAfterMs` of what fails because a store does not answer. */
export const UNAVAILABLE_RETRY_MS = 1_000;
