import { setTimeout as pause } from 'node:timers/promises';
import { Server } from '@grpc/grpc-js';
import { StreamsService, type IStreamsServer } from '@eventstore/db-client/generated/streams_grpc_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import { PersistentSubscriptionsService } from '@eventstore/db-client/generated/persistent_grpc_pb';
import { ProjectionsService } from '@eventstore/db-client/generated/projections_grpc_pb';
import { Access, type Accounts } from './access';
import { AccessWatch } from './access-watch';
import { handleAppend } from './append';
import { batchLoad, handleBatchAppend, type BatchLoad } from './batch-append';
import { handleDelete, handleTombstone } from './delete';
import { httpRequests } from './http-requests';
import { listen, type Listening } from './listener';
import { addNodeServices } from './node-services';
import { OpenCalls } from './open-calls';
import { Groups } from './persistent/groups';
import { persistentSubscriptions } from './persistent/service';
import { Projections } from './projections/projections';
import { projectionService } from './projections/service';
import { isLoopback, LOOPBACK } from './protection';
import { ReadCalls, READS_MAX } from './read-call';
import { strictly } from './strict-messages';

/** As in EventStoreDB. */
const APPEND_BYTES_MAX = 1_048_576;
/** Larger than an append may be, so that one that is too large is refused by name and disturbs no other. */
const MESSAGE_BYTES_MAX = 17 * 1_048_576;
/** Of names and passwords a client sends along. */
const HEADER_BYTES_MAX = 16_384;
/**
 * Of one connection; a client keeps further calls to itself until one ends, without a word. More than all
 * reads and consumers together, because the official clients of one process share one connection.
 */
const CALLS_PER_CONNECTION_MAX = 50_000;
/** How long calls under way may go on when the door closes, and how often it is looked whether any is. */
const DRAIN_MS = 500;
const DRAIN_LOOK_MS = 20;

export interface DoorOptions {
  /** Default: loopback, the only one that is safe without TLS and accounts. */
  readonly host?: string;
  /** 0: a free one. */
  readonly port: number;
  /** PEM. Absent: plain text. */
  readonly tls?: { readonly certificate: Buffer; readonly key: Buffer };
  /** Absent: whoever reaches the port may do everything. */
  readonly accounts?: Accounts;
  /** Reads and subscriptions of all clients together, and as many consumers of groups. */
  readonly readsMax?: number;
  readonly groupsMax?: number;
  /** Calls of BatchAppend, and bytes that all of them hold. */
  readonly batchCallsMax?: number;
  readonly batchBytesMax?: number;
  readonly warn: (message: string) => void;
}

/** The engine's second door: an EventStoreDB client of any language may come in. */
export interface GrpcDoor {
  readonly host: string;
  readonly port: number;
  /** Ends all calls; the engine stays open. Twice is harmless. */
  close(): Promise<void>;
}

/**
 * Serves a store by EventStoreDB's protocol, as a single leader.
 * @throws Error when the port cannot be had, or the certificate cannot be used
 */
export async function openGrpcDoor(store: EmbeddedEventStore, options: DoorOptions): Promise<GrpcDoor> {
  const host = options.host ?? LOOPBACK;
  const readsMax = options.readsMax ?? READS_MAX;
  const access = new Access(store, options.accounts);
  const groups = new Groups(store, options.groupsMax);
  const projections = new Projections(store);
  const load = batchLoad(options.batchCallsMax, options.batchBytesMax);
  const calls = new OpenCalls();
  const watch = new AccessWatch(store, access);
  watch.start();
  const parts = [groups, projections, watch];
  await groups.start();
  await projections.start();
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_metadata_size': HEADER_BYTES_MAX,
    'grpc.max_concurrent_streams': CALLS_PER_CONNECTION_MAX,
    interceptors: [calls.interceptor, ...access.interceptors],
  });
  let listening: Listening | undefined;
  server.addService(strictly(StreamsService), streams(store, access, watch, { readsMax, load }));
  const consumers = persistentSubscriptions(store, groups, access, watch, {
    appendBytesMax: APPEND_BYTES_MAX,
    connectionsMax: readsMax,
  });
  server.addService(strictly(PersistentSubscriptionsService), consumers);
  server.addService(strictly(ProjectionsService), projectionService(projections, access));
  addNodeServices(server, { store, access, groups }, () => ({ host, port: listening?.port ?? 0 }));
  try {
    const http = httpRequests(store, access, APPEND_BYTES_MAX);
    listening = await listen(server, http, { host, port: options.port, tls: options.tls });
  } catch (error) {
    await Promise.all(parts.map(async (part) => part.stop()));
    throw error;
  }
  warnOfDangers(options, host);
  let closing: Promise<void> | undefined;
  const { port } = listening;
  const open = listening;
  return { host, port, close: () => (closing ??= shutDown(open, calls, parts)) };
}

function streams(
  store: EmbeddedEventStore,
  access: Access,
  watch: AccessWatch,
  { readsMax, load }: { readonly readsMax: number; readonly load: BatchLoad },
): IStreamsServer {
  const reads = new ReadCalls(store, access, watch, APPEND_BYTES_MAX, readsMax);
  return {
    read: reads.handle,
    append: handleAppend(store, access, APPEND_BYTES_MAX),
    batchAppend: handleBatchAppend(store, access, APPEND_BYTES_MAX, load),
    delete: handleDelete(store, access, APPEND_BYTES_MAX),
    tombstone: handleTombstone(store, access, APPEND_BYTES_MAX),
  };
}

function warnOfDangers(options: DoorOptions, host: string): void {
  const dangers = [
    ...(options.tls === undefined ? ['nothing is encrypted (no TLS)'] : []),
    ...(options.accounts === undefined ? ['everybody who reaches it may read and write everything'] : []),
  ];
  if (dangers.length === 0) return;
  const open = isLoopback(host) ? '' : ' IT IS OPEN TO THE NETWORK.';
  options.warn(`The event store's gRPC door on ${host} is NOT protected: ${dangers.join('; ')}.${open}`);
}

async function shutDown(
  listening: Listening,
  calls: OpenCalls,
  parts: readonly { stop(): Promise<void> }[],
): Promise<void> {
  await Promise.all(parts.map(async (part) => part.stop()));
  const until = performance.now() + DRAIN_MS;
  while (calls.count > 0 && performance.now() < until) await pause(DRAIN_LOOK_MS);
  calls.endAll();
  // What they are told leaves the process before the connections do.
  await pause(DRAIN_LOOK_MS);
  await listening.close();
}
