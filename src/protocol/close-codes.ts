/** PROTOCOL.md section 3: the code alone tells a device whether to come back. */
export const CLOSE_CODES = {
  draining: { code: 1012, reconnect: true, reason: 'draining' },
  internalError: { code: 4000, reconnect: true, reason: 'internal error' },
  notAFrame: { code: 4001, reconnect: false, reason: 'not a frame' },
  authTimeout: { code: 4003, reconnect: false, reason: 'no auth in time' },
  tokenInvalid: { code: 4004, reconnect: false, reason: 'token invalid or expired' },
  rateLimited: { code: 4008, reconnect: true, reason: 'rate limit kept being broken' },
  signedOut: { code: 4009, reconnect: false, reason: 'signed out or connected elsewhere' },
  tooSlow: { code: 4013, reconnect: true, reason: 'too slow' },
} as const;

export type CloseReason = keyof typeof CLOSE_CODES;
