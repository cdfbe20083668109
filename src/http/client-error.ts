import type { Duplex } from 'node:stream';
import { problem, type Problem } from '../protocol/errors';
import { PROBLEM_CONTENT_TYPE } from './problem.filter';

/** Node's parser gave up for size: of headers with the URL, or of what chunks say beside their size. */
const TOO_LARGE: ReadonlySet<string> = new Set(['HPE_HEADER_OVERFLOW', 'HPE_CHUNK_EXTENSIONS_OVERFLOW']);
const TIMED_OUT = 'ERR_HTTP_REQUEST_TIMEOUT';
const REASONS: Readonly<Record<number, string>> = { 400: 'Bad Request', 413: 'Content Too Large' };

/**
 * The answer to bytes that never become a request. Node would give it without a body; a client that knows our
 * problems (PROTOCOL.md section 4) is to find one here, too.
 */
function problemOf(code: string | undefined): Problem {
  if (TOO_LARGE.has(code ?? '')) return problem('too_large', 'The headers are over the limit.');
  if (code === TIMED_OUT) return problem('invalid_input', 'The request did not come in time.');
  return problem('invalid_input', 'This is no HTTP request.');
}

/** For a server's `clientError`: answers with a problem when nothing has been answered yet, and hangs up. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Half an answer cannot be taken back; and nobody is left to hear one.
  const begun = (socket as { _httpMessage?: { readonly headersSent: boolean } | null })._httpMessage;
  if (!socket.writable || begun?.headersSent === true || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const found = problemOf(error.code);
  const body = JSON.stringify(found);
  const head = [
    `HTTP/1.1 ${found.status} ${REASONS[found.status] ?? ''}`,
    `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => {
    // What the client goes on sending has no reader any more.
    socket.destroy();
  });
}
