import type { Call, CallOptions, Metadata } from '@grpc/grpc-js';
import { EventStoreDBClient } from '@eventstore/db-client';
import { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb';
import type { Readable } from 'node:stream';
import { EventLogUnavailable } from '../../../application/ports/event-log';

/** A call that lasts, of whatever messages. */
type LastingCall = Call & Readable;

/**
 * What the client offers its own commands, and its types hide: the channel with discovery, TLS, credentials, keep-alive
 * and the change to another node. Its commands are not used, because they lose the actual revision of a refused
 * append, give no filter to reads, and let an append whose connection breaks end the process.
 */
interface ClientCalls {
  GRPCStreamCreator<T extends LastingCall>(
    service: typeof StreamsClient,
    name: string,
    create: (client: StreamsClient) => T,
  ): () => Promise<T>;
  callArguments(
    base: { readonly requiresLeader?: boolean; readonly deadline?: number },
    options?: CallOptions,
  ): [Metadata, CallOptions];
}

export interface CallSettings {
  /** Absent: for as long as it lasts. */
  readonly timeoutMs?: number;
  /** The node must be the leader, or say who is. */
  readonly requiresLeader?: boolean;
}

/** Calls to whichever node of the cluster is right, found again after each failure. */
export class EsdbConnection {
  private client: EventStoreDBClient | undefined;
  private readonly calls = new Set<LastingCall>();
  private closed = false;

  /** @throws Error when the connection string is none */
  constructor(
    private readonly connectionString: string,
    private readonly openTimeoutMs: number,
  ) {
    this.client = this.connect();
  }

  /** Begins a call. @throws EventLogUnavailable when no node is found, or after `close` */
  async open<T extends LastingCall>(
    create: (client: StreamsClient, metadata: Metadata, options: CallOptions) => T,
    settings: CallSettings = {},
  ): Promise<T> {
    this.assertOpen();
    const client = (this.client ??= this.connect());
    const calls = client as unknown as ClientCalls;
    const { timeoutMs, requiresLeader = false } = settings;
    const base = { requiresLeader, ...(timeoutMs === undefined ? {} : { deadline: timeoutMs }) };
    const lasting = timeoutMs === undefined ? { deadline: Infinity } : {};
    const begin = (streams: StreamsClient): T => create(streams, ...calls.callArguments(base, lasting));
    let call: T;
    try {
      call = await this.inTime(calls.GRPCStreamCreator(StreamsClient, 'parley', begin)());
    } catch (error) {
      // The client keeps a failed discovery for ever; the next call must look for nodes again.
      if (this.client === client) this.client = undefined;
      throw new EventLogUnavailable(`no event store found: ${String(error)}`, { cause: error });
    }
    this.track(call);
    return call;
  }

  /** Ends all calls. Twice is harmless. */
  async close(): Promise<void> {
    this.closed = true;
    for (const call of this.calls) call.cancel();
    await this.client?.dispose();
  }

  get isClosed(): boolean {
    return this.closed;
  }

  assertOpen(): void {
    if (this.closed) throw new EventLogUnavailable('the connection to the event store is closed');
  }

  /** Seeds that swallow what they are asked keep the client looking for minutes. */
  private async inTime<T extends LastingCall>(opening: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`none answered in ${this.openTimeoutMs} ms`));
      }, this.openTimeoutMs);
    });
    try {
      return await Promise.race([opening, late]);
    } catch (error) {
      const end = (call: T): void => {
        call.on('error', () => undefined).cancel();
      };
      opening.then(end, () => undefined);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private track(call: LastingCall): void {
    this.calls.add(call);
    const forget = (): void => {
      this.calls.delete(call);
    };
    // Also hears the errors that come when nobody reads any more; those who read hear them by their iterator.
    call.once('close', forget).on('error', forget);
    if (this.closed) call.cancel();
  }

  private connect(): EventStoreDBClient {
    // The younger name of the same product and protocol, which this client does not know yet.
    return EventStoreDBClient.connectionString(this.connectionString.replace(/^kurrentdb/, 'esdb'));
  }
}
