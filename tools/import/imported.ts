import { READ_EVENTS_MAX, type EventLog, type LogEvent } from '../../src/application/ports/event-log';
import type { EventMetadata } from '../../src/domain/conversation/codec';
import { conversationStream } from '../../src/domain/conversation/streams';
import { asSeq, toRevision, toSeq, type ConversationId, type Seq } from '../../src/kernel/ids';

/** Steps that are in the log already, each with the seq of its event. */
export type Imported = ReadonlyMap<string, Seq>;

/** The step that made an event: executed commands carry its id as their correlation id. */
const stepOf = (event: LogEvent): string => (event.metadata as EventMetadata).correlationId;

/**
 * Reads a conversation once and tells which steps it holds. The log itself is asked, not a note about it: a
 * step is there or it is not, however the last run ended.
 */
export async function importedSteps(log: EventLog, conversationId: ConversationId): Promise<Imported> {
  const steps = new Map<string, Seq>();
  for (let from = 0; ; from += READ_EVENTS_MAX) {
    const read = await log.readStream(conversationStream(conversationId), {
      from: toRevision(asSeq(from)),
      limit: READ_EVENTS_MAX,
    });
    if (read.kind !== 'events') return steps;
    for (const event of read.events) steps.set(stepOf(event), toSeq(event.revision));
    if (!read.more) return steps;
  }
}

/** Whether the event at `seq` is that of the step. */
export async function holdsStep(
  log: EventLog,
  conversationId: ConversationId,
  seq: Seq,
  step: string,
): Promise<boolean> {
  const read = await log.readStream(conversationStream(conversationId), { from: toRevision(seq), limit: 1 });
  const event = read.kind === 'events' ? read.events[0] : undefined;
  return event !== undefined && toSeq(event.revision) === seq && stepOf(event) === step;
}
