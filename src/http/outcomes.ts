import type { Outcome } from '../application/outcome';
import type { ReadResult } from '../application/queries/queries';
import { assertNever } from '../kernel/assert-never';
import type { WriteAnswerDto } from '../protocol/rest';
import { invalidInput, notFound, ProblemException } from './problem-exception';

export type Stored = Exclude<Outcome, { readonly kind: 'refused' } | { readonly kind: 'unavailable' }>;

/** What a command did. @throws ProblemException when it was refused or could not be decided */
export function done(outcome: Outcome): Stored {
  switch (outcome.kind) {
    case 'accepted':
    case 'repeated':
    case 'unchanged':
      return outcome;
    case 'refused':
      throw refused(outcome.refusal);
    case 'unavailable':
      throw new ProblemException('unavailable', outcome.detail, { retryAfterMs: outcome.retryAfterMs });
    default:
      return assertNever(outcome);
  }
}

/** The seq up to which a following read must wait to see what the command did. */
export function writeAnswer(stored: Stored): WriteAnswerDto {
  switch (stored.kind) {
    case 'accepted': {
      const last = stored.events.at(-1);
      return last === undefined ? {} : { seq: last.seq };
    }
    case 'repeated':
      return { seq: stored.message.seq };
    case 'unchanged':
      return stored.head < 0 ? {} : { seq: stored.head };
    default:
      return assertNever(stored);
  }
}

/** The value of a read. @throws ProblemException when it was refused */
export function found<T>(result: ReadResult<T>): T {
  if (result.kind === 'refused') throw refused(result.refusal);
  return result.value;
}

type Code = ConstructorParameters<typeof ProblemException>[0];

function refused(refusal: { readonly code: Code; readonly detail: string; readonly field?: string }) {
  const { code, detail, field } = refusal;
  // One answer for all that is not there: whether it ever was is nobody's business.
  if (code === 'not_found') return notFound();
  if (code === 'invalid_input' && field !== undefined) return invalidInput({ field, message: detail });
  return new ProblemException(code, detail, {
    errors: field === undefined ? undefined : [{ field, message: detail }],
    retryAfterMs: code === 'unavailable' ? UNAVAILABLE_RETRY_AFTER_MS : undefined,
  });
}

const UNAVAILABLE_RETRY_AFTER_MS = 500;
