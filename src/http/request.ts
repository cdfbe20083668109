import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { RequestContext } from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';
import { traceIdOf as traceIdIn, withoutSampling, type Step } from '../application/ports/tracing';

/** A request as this edge sees it: Express's, with the id and the caller that the edge found out. */
export interface EdgeRequest extends IncomingMessage {
  readonly body?: unknown;
  readonly query: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** Address of the device; of the peer, unless that is a proxy which is believed (`TRUSTED_PROXIES`). */
  readonly ip?: string;
  /** Its `traceparent` decides (`TRACING_CALLERS`). */
  isTracingCaller?: boolean;
  /** The matched route; absent when there is none. */
  readonly route?: { readonly path: string };
  caller?: AccessClaims;
  /** For the log. */
  traceId?: string;
  /** Of the whole request, when it is traced. */
  step?: Step | undefined;
}

/**
 * The step we recorded, which is a child of a trusted caller's; else the caller's own, when it is one. Whoever may
 * not decide what is traced is followed by name only: with the flag, each of their requests would cost us a trace.
 */
export function traceparentOf(request: EdgeRequest): string | undefined {
  if (request.step !== undefined) return request.step.traceparent;
  const given = callersTraceparent(request);
  return given === undefined || request.isTracingCaller === true ? given : withoutSampling(given);
}

/** As the caller sent it, when it is one. */
function callersTraceparent({ headers }: IncomingMessage): string | undefined {
  const header = headers['traceparent'];
  return typeof header === 'string' && traceIdIn(header) !== undefined ? header : undefined;
}

/** Given by the edge to every request. */
export const requestId = (request: IncomingMessage): string =>
  typeof request.id === 'string' ? request.id : '';

/** What the log and a problem have in common: the trace's id when there is one, else the request's id. */
export const traceIdOf = (request: EdgeRequest): string =>
  traceIdIn(traceparentOf(request)) ?? requestId(request);

/** What becomes metadata of the events that a request causes. */
function contextOf(request: EdgeRequest): RequestContext {
  const traceparent = traceparentOf(request);
  return { correlationId: requestId(request), ...(traceparent === undefined ? {} : { traceparent }) };
}

const requestOf = (context: ExecutionContext): EdgeRequest =>
  context.switchToHttp().getRequest<EdgeRequest>();

/** The authenticated user of a route behind AccessGuard. */
export const Caller = createParamDecorator((_data: unknown, context: ExecutionContext): AccessClaims => {
  const { caller } = requestOf(context);
  if (caller === undefined) throw new Error('a route that asks for its caller needs AccessGuard');
  return caller;
});

/** The {@link RequestContext} of the request. */
export const Context = createParamDecorator((_data: unknown, context: ExecutionContext): RequestContext =>
  contextOf(requestOf(context)),
);

/** Of the device; what a proxy wrote that is no address counts as the proxy's own. */
export const addressOf = ({ ip, socket }: EdgeRequest): string =>
  ip !== undefined && isIP(ip) !== 0 ? ip : (socket.remoteAddress ?? '');

/** Address of the device. */
export const PeerAddress = createParamDecorator((_data: unknown, context: ExecutionContext): string =>
  addressOf(requestOf(context)),
);

export { requestOf };
