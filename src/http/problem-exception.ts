import { problem, type ErrorCode, type FieldError, type Problem } from '../protocol/errors';

interface Extras {
  readonly errors?: readonly FieldError[] | undefined;
  readonly retryAfterMs?: number | undefined;
}

/**
 * Ends a request with a problem. Nest's guards, parameters and handlers can end a request early only by
 * throwing, so at this one edge a refusal is thrown; everything beneath returns it.
 */
export class ProblemException extends Error {
  override readonly name = 'ProblemException';
  readonly problem: Problem;

  constructor(code: ErrorCode, detail: string, extras: Extras = {}) {
    super(detail);
    this.problem = problem(code, detail, extras);
  }
}

/** `invalid_input` about one field, or about several. */
export const invalidInput = (...errors: readonly FieldError[]): ProblemException =>
  new ProblemException('invalid_input', 'The request is not valid; `errors` says which field and why.', {
    errors,
  });

/** One sentence for what does not exist and for what is not the caller's to see: existence is not leaked. */
export const notFound = (): ProblemException =>
  new ProblemException('not_found', 'There is nothing here for you.');

export const unauthenticated = (detail: string): ProblemException =>
  new ProblemException('unauthenticated', detail);
