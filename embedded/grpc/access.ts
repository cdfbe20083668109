import { createHash, timingSafeEqual } from 'node:crypto';
import { ServerInterceptingCall, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';
import type { EmbeddedEventStore } from '../engine/event-store';
import { isMetadataStream, METADATA_STREAM_PREFIX } from '../engine/stream-name';
import { ADMINS, DEFAULT_LISTS, EVERYBODY, listOf, OPERATORS, type AccessKind } from './access-list';
import { accessDenied, notAuthenticated } from './errors';

interface Account {
  readonly password: string;
  /** Groups, of which `$admins` may do everything and `$ops` may run the node. */
  readonly groups: readonly string[];
}

/** By user name; one with only a password may do everything. */
export type Accounts = Readonly<Record<string, string | Account>>;

/** Who makes a call. */
export interface Caller {
  readonly name: string;
  /** The name, the groups, and `$all`. */
  readonly roles: ReadonlySet<string>;
}

/** A client asks these before it says who it is. */
const OPEN_SERVICES = [
  '/event_store.client.server_features.ServerFeatures/',
  '/event_store.client.gossip.Gossip/',
];

/** Its last event has the lists of streams that have none of their own. */
export const SETTINGS_STREAM = '$settings';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Without accounts everybody is this one. */
const ANYBODY: Caller = { name: 'anonymous', roles: new Set([ADMINS, EVERYBODY]) };

/** Basic authentication, and the access lists of streams, as far as the node has accounts. */
export class Access {
  private readonly known: readonly { readonly digest: Buffer; readonly caller: Caller }[] | undefined;

  /** @param accounts undefined: everybody may do everything */
  constructor(
    private readonly store: EmbeddedEventStore,
    accounts: Accounts | undefined,
  ) {
    if (accounts === undefined) return;
    this.known = Object.entries(accounts).map(([name, account]) => {
      const { password, groups } =
        typeof account === 'string' ? { password: account, groups: [ADMINS] } : account;
      const caller = { name, roles: new Set([name, EVERYBODY, ...groups]) };
      return { digest: digest(`${name}:${password}`), caller };
    });
  }

  /** Whether there is anything that somebody may not do. */
  get isRestricted(): boolean {
    return this.known !== undefined;
  }

  /**
   * Lets nobody in who is not known: without a header a call is denied, with a wrong one not authenticated.
   */
  get interceptors(): ServerInterceptor[] {
    if (this.known === undefined) return [];
    return [
      (method, call) =>
        new ServerInterceptingCall(call, {
          start: (next) => {
            next({
              onReceiveMetadata: (metadata, proceed) => {
                const free = OPEN_SERVICES.some((service) => method.path.startsWith(service));
                const refusal = free ? undefined : this.refusalOf(metadata);
                if (refusal === undefined) proceed(metadata);
                else call.sendStatus(refusal);
              },
            });
          },
        }),
    ];
  }

  /** Of a call that was let in. @throws CallError */
  callerOf(metadata: Metadata): Caller {
    if (this.known === undefined) return ANYBODY;
    const caller = this.find(metadata);
    if (caller === undefined) throw accessDenied();
    return caller;
  }

  /** @throws CallError `access-denied` */
  async demand(caller: Caller, kind: AccessKind, stream: string): Promise<void> {
    if (!(await this.allows(caller, kind, stream))) throw accessDenied();
  }

  /** What runs the node, or makes and removes groups of consumers. @throws CallError `access-denied` */
  demandOperator({ roles }: Caller): void {
    if (!roles.has(ADMINS) && !roles.has(OPERATORS)) throw accessDenied();
  }

  /** What reads and writes every stream. @throws CallError `access-denied` */
  demandAdministrator({ roles }: Caller): void {
    if (!roles.has(ADMINS)) throw accessDenied();
  }

  /** A stream's settings are in `$$<stream>`: who may read and write those, its own list says. */
  async allows(caller: Caller, kind: AccessKind, stream: string): Promise<boolean> {
    if (caller.roles.has(ADMINS)) return true;
    const about = isMetadataStream(stream);
    const named = about ? stream.slice(METADATA_STREAM_PREFIX.length) : stream;
    const asked = about ? (kind === 'read' ? 'metaRead' : 'metaWrite') : kind;
    const allowed = await this.rolesFor(named, asked);
    return allowed.some((role) => caller.roles.has(role));
  }

  private async rolesFor(stream: string, kind: AccessKind): Promise<readonly string[]> {
    const own = listOf(await this.metadataOf(stream), '$acl')[kind];
    if (own !== undefined) return own;
    const defaults = stream.startsWith('$') ? '$systemStreamAcl' : '$userStreamAcl';
    const settings = await this.lastData(SETTINGS_STREAM);
    return listOf(settings, defaults)[kind] ?? DEFAULT_LISTS[defaults][kind];
  }

  private async metadataOf(stream: string): Promise<unknown> {
    return (await this.store.streamMetadata(stream))?.metadata;
  }

  private async lastData(stream: string): Promise<unknown> {
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: 1 });
    return page.kind === 'events' ? page.events[0]?.dataJson : undefined;
  }

  private refusalOf(metadata: Metadata) {
    if (metadata.get('authorization').length === 0) return accessDenied();
    return this.find(metadata) === undefined ? notAuthenticated() : undefined;
  }

  private find(metadata: Metadata): Caller | undefined {
    const [header] = metadata.get('authorization');
    const encoded = /^basic (.+)$/i.exec(String(header ?? ''))?.[1] ?? '';
    const given = digest(Buffer.from(encoded, 'base64').toString('utf8'));
    // All are compared, in constant time each, so that the answer's time tells nothing.
    const matches = (this.known ?? []).filter((account) => timingSafeEqual(account.digest, given));
    return matches[0]?.caller;
  }
}
