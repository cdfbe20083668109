import type { UUID } from '@eventstore/db-client/generated/shared_pb';
import type { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { LogEvent } from '../../../application/ports/event-log';
import { asEventId, asRevision } from '../../../kernel/ids';
import type { Position } from '../../../kernel/position';
import { upcast } from '../upcasters/upcast';
import type { StreamNames } from './stream-names';

/** .NET counts time in units of 100 ns. */
const TICKS_PER_MILLISECOND = 10_000n;

export const positionOf = (wire: {
  getCommitPosition(): string;
  getPreparePosition(): string;
}): Position => ({ commit: BigInt(wire.getCommitPosition()), prepare: BigInt(wire.getPreparePosition()) });

/** An event as it is stored, its content as bytes. */
interface RawEvent {
  readonly stream: string;
  readonly revision: bigint;
  readonly position: Position;
  readonly id: string;
  readonly type: string;
  readonly isJson: boolean;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly created: number;
}

/** The recorded event of an answer; undefined for a link whose target is gone. */
export function rawEventOf(resolved: ReadResp.ReadEvent): RawEvent | undefined {
  const recorded = resolved.getEvent();
  if (recorded === undefined) return undefined;
  const properties = recorded.getMetadataMap();
  return {
    stream: text(recorded.getStreamIdentifier()?.getStreamName_asU8() ?? new Uint8Array()),
    revision: BigInt(recorded.getStreamRevision()),
    position: positionOf(recorded),
    id: idText(recorded.getId()),
    type: properties.get('type') ?? '',
    isJson: properties.get('content-type') === 'application/json',
    data: recorded.getData_asU8(),
    metadata: recorded.getCustomMetadata_asU8(),
    created: Number(BigInt(properties.get('created') ?? '0') / TICKS_PER_MILLISECOND),
  };
}

/** The same for those above the port: by the names of this installation, parsed, and of today's shape. */
export function logEventOf(resolved: ReadResp.ReadEvent, names: StreamNames): LogEvent | undefined {
  const raw = rawEventOf(resolved);
  if (raw === undefined) return undefined;
  const stored = upcast(raw.type, json(raw.data), json(raw.metadata));
  return {
    stream: names.here(raw.stream),
    revision: asRevision(raw.revision),
    position: raw.position,
    id: asEventId(raw.id),
    type: stored.type,
    data: stored.data,
    metadata: stored.metadata,
    created: raw.created,
  };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** undefined: not JSON. Others may write to the same store, and their events must not stop a reader. */
function json(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(text(bytes));
  } catch {
    return undefined;
  }
}

/** Ids are asked for as text, so that is how they come. */
export const idText = (id: UUID | undefined): string => (id?.getString() ?? '').toLowerCase();
