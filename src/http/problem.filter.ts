import type { ServerResponse } from 'node:http';
import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { AppendOutcomeUnknown, EventLogUnavailable } from '../application/ports/event-log';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import { Metrics } from '../observability/metrics';
import { problem, type Problem } from '../protocol/errors';
import { ProblemException } from './problem-exception';
import { traceIdOf, type EdgeRequest } from './request';

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';
const UNAVAILABLE_RETRY_AFTER_MS = 1_000;

/** What body-parser and Express say of a bad request, in words that show nothing of it. */
const PARSER_DETAILS: Readonly<Record<string, string>> = {
  'entity.parse.failed': 'The body is not JSON.',
  'entity.verify.failed': 'The body is not UTF-8.',
  'encoding.unsupported': 'Send the body without a content encoding.',
  'charset.unsupported': 'Send the body in UTF-8.',
  'request.size.invalid': 'The body is not as long as its Content-Length says.',
  'request.aborted': 'The request ended before its body did.',
};

/** Whatever a request ends with but an answer becomes one problem (RFC 9457, PROTOCOL.md section 4). */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  constructor(private readonly metrics: Metrics) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<EdgeRequest>();
    const response = http.getResponse<ServerResponse>();
    const traceId = traceIdOf(request);
    const found = problemOf(error);
    if (found.code === 'internal') this.logger.error({ err: error, traceId }, 'a request failed');
    this.metrics.refused.inc({ code: found.code, door: 'rest' });
    // Half an answer cannot be taken back; cutting it off at least does not pass for a whole one.
    if (response.headersSent) response.destroy();
    else send(response, { ...found, traceId });
  }
}

function send(response: ServerResponse, body: Problem): void {
  response.statusCode = body.status;
  response.setHeader('Content-Type', PROBLEM_CONTENT_TYPE);
  response.setHeader('Cache-Control', 'no-store');
  if (body.code === 'unauthenticated') response.setHeader('WWW-Authenticate', 'Bearer realm="parley"');
  if (body.retryAfterMs !== undefined && body.retryAfterMs > 0) {
    response.setHeader('Retry-After', String(Math.ceil(body.retryAfterMs / 1_000)));
  }
  response.end(JSON.stringify(body));
}

function problemOf(error: unknown): Problem {
  if (error instanceof ProblemException) return error.problem;
  if (error instanceof StoreUnavailable || error instanceof EventLogUnavailable) {
    return unavailable('A store cannot be reached; nothing was changed.');
  }
  if (error instanceof AppendOutcomeUnknown) {
    return unavailable('A store broke off; whether anything was changed is not known. Send it again.');
  }
  const status = statusOf(error);
  if (status === undefined || status >= 500) return problem('internal', 'The server made a mistake.');
  if (status === 404) return problem('not_found', 'There is nothing here for you.');
  if (status === 413) return problem('too_large', 'The body is over the limit.');
  return problem('invalid_input', detailOf(error));
}

const unavailable = (detail: string): Problem =>
  problem('unavailable', detail, { retryAfterMs: UNAVAILABLE_RETRY_AFTER_MS });

/** Of Nest's exceptions and of the errors that Express and its parsers raise. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined;
  return error.status >= 400 ? error.status : undefined;
}

function detailOf(error: unknown): string {
  const type: unknown = error instanceof Error && 'type' in error ? error.type : undefined;
  return (typeof type === 'string' ? PARSER_DETAILS[type] : undefined) ?? 'The request cannot be read.';
}
