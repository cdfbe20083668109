import type { AddressSet } from './address-set';
import type { Limits } from '../protocol/limits';

export type NodeRole = 'gateway' | 'projector' | 'worker' | 'relay';

/** The whole configuration, parsed once from the environment at start and injected from there. */
export interface Config {
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** Absolute. */
  readonly dataDir: string;
  /** Several: conversations are spread over them. undefined: the embedded engine under `dataDir`. */
  readonly eventStoreUrls: readonly string[] | undefined;
  /** undefined: streams have their plain names, and nobody else uses the event store. */
  readonly eventStoreStreamPrefix: string | undefined;
  /** undefined: an embedded Postgres under `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** undefined: presence and cross-node frames stay in this process. */
  readonly redisUrl: string | undefined;
  readonly roles: ReadonlySet<NodeRole>;
  /** Events a second in one shard from which on a relay tells nodes of them; 0: never. */
  readonly relayAbove: number;
  /** undefined: the embedded engine has no gRPC door. */
  readonly eventStoreGrpcPort: number | undefined;
  /** Where the door listens and by what it is protected; files are read when it opens. */
  readonly eventStoreGrpcProtection: {
    readonly host: string;
    readonly certificateFile: string | undefined;
    readonly keyFile: string | undefined;
    readonly usersFile: string | undefined;
  };
  /** Whose X-Forwarded-For says where a request comes from. */
  readonly trustedProxies: AddressSet;
  /** Whose `traceparent` decides whether a request is traced. */
  readonly tracingCallers: AddressSet;
  readonly rateLimits: boolean;
  readonly jwtSecret: string;
  /** Taken as well as {@link jwtSecret}, and never used to sign. */
  readonly jwtSecretSecond: string | undefined;
  readonly accessTokenTtlMs: number;
  readonly refreshTokenTtlMs: number;
  readonly editWindowMs: number;
  readonly heartbeatMs: number;
  readonly authTimeoutMs: number;
  /** Base URL of an OTLP collector; undefined: nothing is traced. */
  readonly tracesEndpoint: string | undefined;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  readonly limits: Limits;
}

/** Injection token of {@link Config}. */
export const CONFIG = Symbol('Config');
