import type { ServerWritableStream } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { RecordedEvent } from '../engine/record';
import type { Access, Caller } from './access';
import type { AccessWatch } from './access-watch';
import { accessDenied, exhausted, toCallError, unavailable } from './errors';
import { resolveLink, unresolved, type MayRead, type ResolvedEvent } from './links';
import { Outbound } from './outbound';
import { readLog, readStream } from './read';
import { parseReadRequest, type ReadRequest } from './read-request';
import { subscribeToLog, subscribeToStream } from './subscribe';

/** All clients together; one more is refused with RESOURCE_EXHAUSTED. */
export const READS_MAX = 20_000;

/** Reads and subscriptions: one call of the protocol, told apart by its options. */
export class ReadCalls {
  private running = 0;

  constructor(
    private readonly store: EmbeddedEventStore,
    private readonly access: Access,
    private readonly watch: AccessWatch,
    private readonly appendBytesMax: number,
    private readonly readsMax: number,
  ) {}

  readonly handle = (call: ServerWritableStream<ReadReq, ReadResp>): void => {
    void this.answer(call);
  };

  private async answer(call: ServerWritableStream<ReadReq, ReadResp>): Promise<void> {
    const outbound = new Outbound<ReadResp>(call);
    this.running++;
    try {
      if (this.running > this.readsMax) throw exhausted(`${this.readsMax} reads are under way.`);
      const [request, caller] = [parseReadRequest(call.request), this.access.callerOf(call.metadata)];
      const unwatch = this.watch.watch(caller, sourceOf(request), () => {
        if (!outbound.gone) call.emit('error', accessDenied());
      });
      try {
        await this.run(request, outbound, caller);
      } finally {
        unwatch();
      }
      if (!outbound.gone) call.end();
    } catch (error) {
      if (!outbound.gone) call.emit('error', toCallError(error, this.appendBytesMax));
    } finally {
      this.running--;
    }
  }

  private async run(request: ReadRequest, outbound: Outbound<ReadResp>, caller: Caller): Promise<void> {
    const { store } = this;
    const { target, count, structuredIds } = request;
    await this.access.demand(caller, 'read', sourceOf(request));
    const resolve = this.resolver(request, caller);
    if (count === undefined) {
      const subscription = { store, outbound, structuredIds, resolve };
      if (target.kind === 'stream') await subscribeToStream(subscription, target);
      else await subscribeToLog(subscription, target);
      // A subscription ends by itself only because the store does: the client then connects anew.
      if (!outbound.gone) throw unavailable('The event store is closing.');
      return;
    }
    const reading = { store, outbound, request, count, resolve };
    if (target.kind === 'stream') await readStream(reading, target);
    else await readLog(reading, target);
  }

  private resolver({ resolvesLinks }: ReadRequest, caller: Caller) {
    const mayRead: MayRead = (stream) => this.access.allows(caller, 'read', stream);
    return async (event: RecordedEvent): Promise<ResolvedEvent> =>
      resolvesLinks ? resolveLink(this.store, event, mayRead) : unresolved(event);
  }
}

const sourceOf = ({ target }: ReadRequest): string => (target.kind === 'stream' ? target.stream : '$all');
