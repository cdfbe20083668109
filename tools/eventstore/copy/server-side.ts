import { ANY, EventStoreDBClient } from '@eventstore/db-client';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import { StreamDeletedError } from '../../../src/application/ports/event-log';
import { BatchAppender } from '../../../src/infrastructure/event-log/esdb/batch-appender';
import { EsdbConnection } from '../../../src/infrastructure/event-log/esdb/connection';
import { isStreamDeleted, readFailure } from '../../../src/infrastructure/event-log/esdb/failures';
import { rawReadRequest, streamReadRequest } from '../../../src/infrastructure/event-log/esdb/read-requests';
import { rawEventOf } from '../../../src/infrastructure/event-log/esdb/recorded-event';
import { asRevision } from '../../../src/kernel/ids';
import type { Position } from '../../../src/kernel/position';
import { EPOCH_STREAM, isCopied, TOMBSTONE_TYPE, type CopiedEvent } from './copied-event';
import type { Side, SideAppend } from './side';

const APPEND_TIMEOUT_MS = 60_000;
const OPEN_TIMEOUT_MS = 30_000;
const READ_TIMEOUT_MS = 60_000;
/** Streams of users and their metadata; the server leaves the rest out, so that it need not be sent. */
const COPIED_STREAMS = '^([^$]|[$][$][^$])';

/** A server or cluster, by the official client's connection. */
export class ServerSide implements Side {
  readonly place: string;
  private readonly connection: EsdbConnection;
  private readonly appender: BatchAppender;

  /** @throws Error when the connection string is none */
  constructor(private readonly connectionString: string) {
    // Host and port, never the password or the options.
    this.place = connectionString.replace(/^[^/]*\/\/([^@/]*@)?/, '').replace(/[/?].*$/s, '');
    this.connection = new EsdbConnection(connectionString, OPEN_TIMEOUT_MS);
    this.appender = new BatchAppender(this.connection, APPEND_TIMEOUT_MS);
  }

  async head(): Promise<bigint> {
    for await (const event of this.readBackwards()) return event.position.commit;
    return -1n;
  }

  read(after?: Position): AsyncIterable<CopiedEvent> {
    return this.events('forwards', after);
  }

  readBackwards(before?: Position): AsyncIterable<CopiedEvent> {
    return this.events('backwards', before);
  }

  async readStream(stream: string, from: bigint, limit: number): Promise<readonly CopiedEvent[]> {
    const page = await this.page(streamReadRequest(stream, 'forwards', asRevision(from), limit));
    return page === 'deleted' ? [] : page;
  }

  async lastRevision(stream: string): Promise<bigint | 'hidden' | undefined> {
    const last = await this.page(streamReadRequest(stream, 'backwards', undefined, 1));
    if (last === 'deleted') return 'hidden';
    if (last[0] !== undefined) return last[0].revision;
    const settings = await this.page(streamReadRequest(`$$${stream}`, 'backwards', undefined, 1));
    return settings === 'deleted' || settings[0] !== undefined ? 'hidden' : undefined;
  }

  async append(stream: string, events: readonly CopiedEvent[]): Promise<SideAppend> {
    const first = events[0]?.revision ?? 0n;
    const expected = first === 0n ? 'noStream' : asRevision(first - 1n);
    try {
      const answer = await this.appender.appendBytes(stream, events, expected);
      if (answer.kind === 'appended') return answer;
      return { kind: 'elsewhere', head: answer.actual ?? -1n };
    } catch (error) {
      if (error instanceof StreamDeletedError) return { kind: 'deleted' };
      throw error;
    }
  }

  async tombstone(stream: string): Promise<void> {
    const client = EventStoreDBClient.connectionString(this.connectionString.replace(/^kurrentdb/, 'esdb'));
    try {
      await client.tombstoneStream(stream, { expectedRevision: ANY });
    } finally {
      await client.dispose();
    }
  }

  async epoch(): Promise<string | undefined> {
    const [first] = await this.readStream(EPOCH_STREAM, 0n, 1);
    if (first === undefined) return undefined;
    return (JSON.parse(Buffer.from(first.data).toString('utf8')) as { readonly epoch?: string }).epoch;
  }

  async setEpoch(epoch: string): Promise<void> {
    const data = Buffer.from(JSON.stringify({ epoch }));
    const event = { id: randomUUID(), type: 'EpochBegan', isJson: true, data, metadata: Buffer.from('{}') };
    await this.appender.appendBytes(EPOCH_STREAM, [event], 'noStream');
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private async *events(direction: 'forwards' | 'backwards', from?: Position): AsyncGenerator<CopiedEvent> {
    const request = rawReadRequest(direction, from, COPIED_STREAMS);
    for await (const event of this.responses(request, undefined)) {
      // Forwards a server begins at the position itself.
      const repeated = from !== undefined && event.position.commit === from.commit;
      if (!repeated && isCopied(event.stream)) yield event;
    }
  }

  private async page(request: ReadReq): Promise<readonly CopiedEvent[] | 'deleted'> {
    const events: CopiedEvent[] = [];
    try {
      for await (const event of this.responses(request, READ_TIMEOUT_MS)) events.push(event);
    } catch (error) {
      if (!isStreamDeleted(error instanceof Error ? error.cause : error)) throw error;
      return 'deleted';
    }
    return events;
  }

  private async *responses(request: ReadReq, timeoutMs: number | undefined): AsyncGenerator<CopiedEvent> {
    const call = await this.connection.open(
      (client, metadata, options): ClientReadableStream<ReadResp> => client.read(request, metadata, options),
      timeoutMs === undefined ? {} : { timeoutMs },
    );
    try {
      for await (const response of call) {
        const resolved = (response as ReadResp).getEvent();
        const event = resolved === undefined ? undefined : rawEventOf(resolved);
        if (event === undefined) continue;
        yield event.type === TOMBSTONE_TYPE ? { ...event, revision: -1n } : event;
      }
    } catch (error) {
      throw readFailure(error);
    } finally {
      call.cancel();
    }
  }
}
