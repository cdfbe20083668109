import { problem, type ErrorCode, type Problem } from '../src/protocol/errors';

/** The server's word on why something was refused: the problem object of PROTOCOL.md section 4. */
export class ParleyError extends Error {
  override readonly name = 'ParleyError';

  constructor(readonly problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
  }

  get code(): ErrorCode {
    return this.problem.code;
  }

  /** True when the same request may succeed later, unchanged. */
  get retryable(): boolean {
    return this.problem.retryable;
  }

  /** How long the server asks to wait; undefined: it did not say. Milliseconds. */
  get retryAfterMs(): number | undefined {
    return this.problem.retryAfterMs;
  }

  static of(code: ErrorCode, detail: string): ParleyError {
    return new ParleyError(problem(code, detail));
  }
}

/** There is no connection, or it broke before the answer: whether the server acted is unknown. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

export type StopReason = 'closed' | 'notAFrame' | 'authTimeout' | 'tokenInvalid' | 'signedOut';

/** The client has ended for good and does not reconnect by itself. */
export class ClientStopped extends Error {
  override readonly name = 'ClientStopped';

  constructor(readonly reason: StopReason) {
    super(`the client has stopped: ${reason}`);
  }
}

/** More than OUTBOX_MAX messages wait to be sent; this one was not taken. */
export class OutboxFull extends Error {
  override readonly name = 'OutboxFull';
}

/** Whether waiting and trying again, unchanged, can help. */
export function isRetryable(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof ParleyError && error.retryable);
}
