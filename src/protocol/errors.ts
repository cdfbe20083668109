/**
 * The one error table (PROTOCOL.md section 4). REST, sockets, OpenAPI, AsyncAPI, docs and the SDK all derive
 * from it; a test holds docs/protocol.md against it both ways.
 */
export interface ErrorDefinition {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
}

export const ERRORS = {
  invalid_input: { status: 400, title: 'Invalid input', retryable: false },
  unauthenticated: { status: 401, title: 'Unauthenticated', retryable: false },
  not_a_member: { status: 403, title: 'Not a member', retryable: false },
  forbidden: { status: 403, title: 'Forbidden', retryable: false },
  blocked: { status: 403, title: 'Blocked', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  conflict: { status: 409, title: 'Conflict', retryable: false },
  client_message_id_reused: { status: 409, title: 'Client message id reused', retryable: false },
  cursor_truncated: { status: 410, title: 'Cursor truncated', retryable: false },
  stale: { status: 412, title: 'Stale', retryable: false },
  too_large: { status: 413, title: 'Too large', retryable: false },
  edit_window_closed: { status: 422, title: 'Edit window closed', retryable: false },
  rate_limited: { status: 429, title: 'Rate limited', retryable: true },
  internal: { status: 500, title: 'Internal error', retryable: true },
  unavailable: { status: 503, title: 'Unavailable', retryable: true },
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof ERRORS;

/** RFC 9457 problem details, with the members PROTOCOL.md adds; the same on REST and in `error` frames. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly traceId?: string;
  readonly errors?: readonly FieldError[];
}

export interface FieldError {
  /** Path of the field with dots, as in `content.body`; empty for the whole. */
  readonly field: string;
  readonly message: string;
}

export interface ProblemExtras {
  readonly retryAfterMs?: number | undefined;
  readonly traceId?: string | undefined;
  readonly errors?: readonly FieldError[] | undefined;
}

/** The problem object for a code. */
export function problem(code: ErrorCode, detail: string, extras: ProblemExtras = {}): Problem {
  const { status, title, retryable } = ERRORS[code];
  return {
    type: `/problems/${code.replaceAll('_', '-')}`,
    title,
    status,
    code,
    detail,
    retryable,
    ...(extras.retryAfterMs === undefined ? {} : { retryAfterMs: extras.retryAfterMs }),
    ...(extras.traceId === undefined ? {} : { traceId: extras.traceId }),
    ...(extras.errors === undefined ? {} : { errors: extras.errors }),
  };
}
