import type { IncomingMessage } from 'node:http';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { RequestContext } from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';

/** A request as this edge sees it: Express's, with the id and the caller that the edge found out. */
export interface EdgeRequest extends IncomingMessage {
  readonly body?: unknown;
  readonly query: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** Address of the peer; behind a proxy, that of the proxy. */
  readonly ip?: string;
  /** The matched route; absent when there is none. */
  readonly route?: { readonly path: string };
  caller?: AccessClaims;
}

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

function traceparentOf(request: IncomingMessage): RegExpExecArray | undefined {
  const header = request.headers['traceparent'];
  return typeof header === 'string' ? (TRACEPARENT.exec(header) ?? undefined) : undefined;
}

/** Given by the edge to every request. */
const requestId = (request: IncomingMessage): string => (typeof request.id === 'string' ? request.id : '');

/** What the log and a problem have in common: the caller's trace id when there is one, else the request's id. */
export const traceIdOf = (request: IncomingMessage): string =>
  traceparentOf(request)?.[1] ?? requestId(request);

/** What becomes metadata of the events that a request causes. */
function contextOf(request: IncomingMessage): RequestContext {
  const traceparent = traceparentOf(request)?.[0];
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

/** Address of the peer. */
export const PeerAddress = createParamDecorator(
  (_data: unknown, context: ExecutionContext): string => requestOf(context).ip ?? '',
);

export { requestOf };
