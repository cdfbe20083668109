import { EventLogUnavailable } from '../../src/application/ports/event-log';
import type { MessageDelivered, MessageRead, Recorded } from '../../src/domain/conversation/events';
import { readCursorsOf } from '../../src/domain/conversation/packed-cursors';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import type { ConversationId, UserId } from '../../src/kernel/ids';
import type { RecordingConnection } from './delivery';

/** By the words of PROTOCOL.md and DESIGN.md section 5, without the code under test: what a user may ever see. */
export function visibleTo(events: readonly Recorded[], userId: UserId): number[] {
  const joined: number[] = [];
  const all: number[] = [];
  let isMember = false;
  let last = -1;
  let shared = false;
  for (const { seq, event } of events) {
    if (event.type === 'ConversationStarted') {
      isMember = event.memberIds.includes(userId);
      shared = event.settings?.historyVisibility === 'shared';
    }
    const ofMine = event.type === 'MembershipChanged' && event.userId === userId;
    if (ofMine && event.change === 'joined') isMember = true;
    const hidden =
      (event.type === 'MessageRead' || event.type === 'MessageDelivered') &&
      event.audience === 'concerned' &&
      !showsOwn(event, userId);
    if (!hidden) all.push(seq);
    if (isMember) last = seq;
    if (isMember && !hidden) joined.push(seq);
    if (ofMine && (event.change === 'left' || event.change === 'removed')) isMember = false;
  }
  return shared ? all.filter((seq) => seq <= last) : joined;
}

/** Packed cursors of what was delivered are told to nobody. */
function showsOwn(event: MessageRead | MessageDelivered, userId: UserId): boolean {
  const isPacked = event.packed !== undefined;
  if (event.type === 'MessageDelivered')
    return !isPacked && event.cursors.some((one) => one.userId === userId);
  return readCursorsOf(event, [userId]).some((one) => one.userId === userId);
}

/** What a device has of a conversation from one sync on: the pages and the pushes, deduplicated by seq. */
export function had(connection: RecordingConnection, id: ConversationId): number[] {
  const seqs = new Set(connection.seqsOf(id));
  for (const entry of connection.pages) {
    if (entry.conversationId === id) for (const { data } of entry.events) seqs.add(data.seq);
  }
  return [...seqs].sort((a, b) => a - b);
}

/** A log that can go away, and be slow to answer. */
export class BreakableLog extends MemoryEventLog {
  isBroken = false;
  beforeRead: () => Promise<void> = () => Promise.resolve();
  /** Runs when an append is stored and its writer does not know it yet. */
  afterAppend: () => Promise<void> = () => Promise.resolve();

  override async append(...args: Parameters<MemoryEventLog['append']>) {
    const result = await super.append(...args);
    await this.afterAppend();
    return result;
  }

  override async readStream(...args: Parameters<MemoryEventLog['readStream']>) {
    if (this.isBroken) throw new EventLogUnavailable('broken');
    await this.beforeRead();
    return super.readStream(...args);
  }
}
