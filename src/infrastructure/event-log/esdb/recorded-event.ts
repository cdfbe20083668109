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

/** The recorded event of an answer; undefined for a link whose target is gone. */
export function logEventOf(resolved: ReadResp.ReadEvent, names: StreamNames): LogEvent | undefined {
  const recorded = resolved.getEvent();
  if (recorded === undefined) return undefined;
  const properties = recorded.getMetadataMap();
  const type = properties.get('type') ?? '';
  const data = json(recorded.getData_asU8());
  const metadata = json(recorded.getCustomMetadata_asU8());
  const stored = upcast(type, data, metadata);
  return {
    stream: names.here(text(recorded.getStreamIdentifier()?.getStreamName_asU8() ?? new Uint8Array())),
    revision: asRevision(BigInt(recorded.getStreamRevision())),
    position: positionOf(recorded),
    id: asEventId(idText(recorded.getId())),
    type: stored.type,
    data: stored.data,
    metadata: stored.metadata,
    created: Number(BigInt(properties.get('created') ?? '0') / TICKS_PER_MILLISECOND),
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
