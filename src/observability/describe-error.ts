/** Causes that are followed; a longer chain is a loop or says nothing new. */
const CAUSES_MAX = 4;
const MESSAGE_CHARACTERS_MAX = 500;

/** Data exceptions and broken constraints: their texts quote the values. */
const QUOTING_SQLSTATE = /^2[0-9A-Z]{4}$/;

export interface ErrorDescription {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  /** Of Postgres: what the statement broke; names of ours, never values. */
  readonly broke?: string;
  /** Where it was thrown, without the message that stacks begin with. */
  readonly stack: string;
  readonly cause?: ErrorDescription;
}

/** An error of another thread, of which only the description came over. */
export class DescribedError extends Error {
  constructor(readonly description: ErrorDescription) {
    super(description.message);
    this.name = description.type;
    this.stack = `${description.type}: ${description.message}\n${description.stack}`;
  }
}

/**
 * An error as it may stand in a log. Postgres repeats rows in `detail` and values in some messages, and V8 repeats
 * the text that was no JSON: a message that somebody wrote would end in the log by the back door. Other properties
 * of errors are left out for the same reason: nobody knows what libraries put there.
 */
export function describeError(error: unknown, depth = 0): ErrorDescription {
  if (error instanceof DescribedError) return error.description;
  if (!(error instanceof Error))
    return { type: typeof error, message: 'something that is no error', stack: '' };
  const { code, table, column, constraint } = error as Partial<
    Record<'code' | 'table' | 'column' | 'constraint', unknown>
  >;
  const broke = [table, column, constraint].filter((name) => typeof name === 'string').join('.');
  return {
    type: error.name,
    message: messageOf(error, code),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(broke === '' ? {} : { broke }),
    stack: framesOf(error),
    ...(error.cause === undefined || depth >= CAUSES_MAX
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  };
}

function messageOf(error: Error, code: unknown): string {
  if ('severity' in error && typeof code === 'string' && QUOTING_SQLSTATE.test(code)) {
    return `Postgres refused a statement with SQLSTATE ${code}`;
  }
  if (error instanceof SyntaxError && error.message.includes('JSON')) return 'a text is not JSON';
  return error.message.slice(0, MESSAGE_CHARACTERS_MAX);
}

const framesOf = ({ stack = '' }: Error): string =>
  stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
    .join('\n');
