import { createHash, timingSafeEqual } from 'node:crypto';
import { ServerInterceptingCall, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';
import { accessDenied, notAuthenticated } from './errors';

/** User names with their passwords. */
export type Accounts = Readonly<Record<string, string>>;

/** A client asks these before it says who it is. */
const OPEN_SERVICES = [
  '/event_store.client.server_features.ServerFeatures/',
  '/event_store.client.gossip.Gossip/',
];

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Basic authentication. Whoever is known may do everything: the engine knows no access lists.
 * Without a header a call is denied, with a wrong one not authenticated.
 */
export function basicAuthentication(accounts: Accounts): ServerInterceptor {
  const known = Object.entries(accounts).map(([name, password]) => digest(`${name}:${password}`));
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, proceed) => {
            const free = OPEN_SERVICES.some((service) => method.path.startsWith(service));
            const refusal = free ? undefined : refusalOf(metadata, known);
            if (refusal === undefined) proceed(metadata);
            else call.sendStatus(refusal);
          },
        });
      },
    });
}

function refusalOf(metadata: Metadata, known: readonly Buffer[]) {
  const [header] = metadata.get('authorization');
  if (header === undefined) return accessDenied();
  const encoded = /^basic (.+)$/i.exec(String(header))?.[1] ?? '';
  const given = digest(Buffer.from(encoded, 'base64').toString('utf8'));
  // All are compared, in constant time each, so that the answer's time tells nothing.
  const matches = known.filter((account) => timingSafeEqual(account, given));
  return matches.length > 0 ? undefined : notAuthenticated();
}
