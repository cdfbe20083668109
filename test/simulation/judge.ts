import type { LocalConversation, LocalMessage } from '../../sdk';
import type { MessageContent } from '../../src/domain/conversation/events';
import { readCursorOf } from '../../src/domain/conversation/packed-cursors';
import type { UserId } from '../../src/kernel/ids';
import type { Chronicle } from './chronicle';
import type { Device } from './device';
import type { World } from './world';

/** A summary names so many members at most. */
const MEMBERS_NAMED_MAX = 100;

interface Message {
  readonly by: UserId;
  content: MessageContent | null;
  version: number;
  readonly reactions: Set<string>;
}

interface Folded {
  readonly messages: Map<number, Message>;
  readUpTo: number;
  title: string | undefined;
}

/**
 * What is still different between the log and the devices, as a sentence; undefined: nothing. A difference counts as
 * broken only when it does not go away after the faults have stopped.
 */
export function differenceIn(world: World): string | undefined {
  for (const device of world.devices) {
    const why = differenceOf(world, device);
    if (why !== undefined) return `${device.name}: ${why}`;
  }
  for (const { link, inspector } of world.wires) {
    const [asked] = inspector.unanswered;
    if (!link.isOver && asked !== undefined) return `a ${asked} waits for its answer`;
  }
  return undefined;
}

function differenceOf(world: World, device: Device): string | undefined {
  const { client } = device;
  if (client?.isConnected !== true) return 'is not connected';
  if (client.outboxSize > 0) return `has ${client.outboxSize} messages to send`;
  for (const chronicle of world.log.chronicles.values()) {
    const last = chronicle.lastVisible(device.userId);
    const had = device.progress.get(chronicle.id) ?? -1;
    if (had !== last) return `has ${chronicle.name} up to ${had}, not ${last}`;
    if (!chronicle.isMember(device.userId)) continue;
    const local = client.conversations.get(chronicle.id);
    if (local === undefined) continue;
    const folded = fold(chronicle, device.userId);
    const why =
      differenceInMessages(folded, local) ??
      // A device that was restarted is told of those conversations that have moved since.
      (device.introduced.has(chronicle.id)
        ? differenceInSummary(chronicle, folded, local, device)
        : undefined);
    if (why !== undefined) return `${chronicle.name}: ${why}`;
  }
  return undefined;
}

function differenceInMessages(folded: Folded, local: LocalConversation): string | undefined {
  for (const message of local.messages) {
    const why = differenceInMessage(folded.messages.get(message.seq ?? -1), message);
    if (why !== undefined) return `message ${message.seq ?? '?'}: ${why}`;
  }
  const isPending = [...local.pending.values()].some(({ state }) => state === 'pending');
  return isPending ? 'shows a message as pending that has been sent' : undefined;
}

function differenceInSummary(
  chronicle: Chronicle,
  folded: Folded,
  local: LocalConversation,
  { userId }: Device,
): string | undefined {
  const members = [...local.members.keys()].sort().join();
  const isNamed = chronicle.memberIds.length <= MEMBERS_NAMED_MAX;
  if (isNamed && members !== [...chronicle.memberIds].sort().join()) return `has other members, ${members}`;
  if (local.memberCount !== chronicle.memberIds.length) return `counts ${local.memberCount} members`;
  if (local.title !== folded.title) return `has the title ${local.title ?? 'none'}`;
  // Reading on to what is no message, or is from before one came back, is nobody's news, and is not stored.
  const from = Math.max(folded.readUpTo, chronicle.joinedAt(userId) ?? -1);
  const between = [...folded.messages.keys()].some((seq) => seq > from && seq <= local.readUpTo);
  if (local.readUpTo < folded.readUpTo || between)
    return `has read ${local.readUpTo}, not ${folded.readUpTo}`;
  const unread = unreadOf(chronicle, folded, userId);
  if (local.unread !== unread) return `counts ${local.unread} unread, not ${unread}`;
  return undefined;
}

function differenceInMessage(stored: Message | undefined, local: LocalMessage): string | undefined {
  if (stored === undefined) return 'is not in the log';
  if (local.senderId !== stored.by) return 'is by somebody else';
  if (JSON.stringify(local.content) !== JSON.stringify(stored.content))
    return `says ${JSON.stringify(local.content)}, not ${JSON.stringify(stored.content)}`;
  if (stored.content !== null && local.version !== stored.version)
    return `is version ${local.version}, not ${stored.version}`;
  const reactions = [...local.reactions].flatMap(([emoji, users]) =>
    [...users].map((user) => `${emoji} ${user}`),
  );
  if (reactions.sort().join() !== [...stored.reactions].sort().join())
    return `has reactions ${reactions.join()}`;
  return undefined;
}

/** The conversation as the events make it that this user may see: written without a look at the SDK's own fold. */
function fold(chronicle: Chronicle, userId: UserId): Folded {
  const folded: Folded = { messages: new Map(), readUpTo: -1, title: undefined };
  const joinedAt = chronicle.joinedAt(userId) ?? 0;
  const read = (upTo: number): void => {
    folded.readUpTo = Math.max(folded.readUpTo, upTo);
  };
  for (const { seq, event } of chronicle.events) {
    // The title comes with the summary, whoever was there when it changed.
    if (event.type === 'ConversationStarted' || event.type === 'ConversationChanged')
      folded.title = event.title ?? folded.title;
    if (!chronicle.isVisible(userId, seq)) continue;
    if (event.type === 'MessageSent') {
      const { by, content } = event;
      folded.messages.set(seq, { by, content, version: 1, reactions: new Set() });
      if (by === userId && seq >= joinedAt) read(seq);
    } else if (event.type === 'MessageRead') {
      const cursor = readCursorOf(event, userId);
      if (cursor !== undefined && seq >= joinedAt) read(cursor.upTo);
    } else if (event.type === 'MessageEdited') {
      const message = folded.messages.get(event.target);
      if (message !== undefined && message.content !== null)
        Object.assign(message, { content: event.content, version: event.version });
    } else if (event.type === 'MessageDeleted') {
      const message = folded.messages.get(event.target);
      if (message !== undefined) message.content = null;
    } else if (event.type === 'ReactionChanged') {
      const reactions = folded.messages.get(event.target)?.reactions;
      const reaction = `${event.emoji} ${event.by}`;
      if (event.change === 'added') reactions?.add(reaction);
      else reactions?.delete(reaction);
    }
  }
  return folded;
}

/** Messages after what was read, and after the joining, that nobody has deleted; a deletion counts for all. */
function unreadOf(chronicle: Chronicle, { readUpTo }: Folded, userId: UserId): number {
  const deleted = new Set(
    chronicle.events.flatMap(({ event }) =>
      event.type === 'MessageDeleted' ? [event.target as number] : [],
    ),
  );
  const after = Math.max(readUpTo, chronicle.joinedAt(userId) ?? -1);
  return chronicle.events.filter(
    ({ seq, event }) => event.type === 'MessageSent' && seq > after && !deleted.has(seq),
  ).length;
}

/** What must hold of each device's own messages at the end. */
export function judgeSenders({ devices, log, trace }: World): void {
  for (const device of devices) {
    const last = new Map<string, number>();
    for (const [key, sent] of device.sent) {
      if (device.refused.has(key)) continue;
      if (sent.seq === undefined) {
        // Not yet on disk when the device was killed: it was never sent, or it has been and nobody remembers.
        if (!sent.isForgotten)
          trace.broken('1 nothing acknowledged is lost', `${device.name} lost ${sent.body}`);
        continue;
      }
      const before = last.get(sent.acknowledgedIn) ?? -1;
      if (sent.seq < before)
        trace.broken("7 sender's order", `${device.name} sent ${sent.body} after the message at ${before}`);
      last.set(sent.acknowledgedIn, sent.seq);
      if (log.chronicle(sent.acknowledgedIn as never).seqOf(device.userId, key) !== sent.seq)
        trace.broken('5 once', `${sent.body} of ${device.name} is not where it was acknowledged`);
    }
  }
}
