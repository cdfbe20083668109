import type { EventLog } from '../../src/application/ports/event-log';
import { asUserId, type UserId } from '../../src/kernel/ids';
import { uuidv7 } from '../../src/kernel/uuid';
import { WrittenConversation } from './written-conversation';

/** Events of a conversation, on average; a few have most of them. */
const EVENTS_PER_CONVERSATION = 200;
/** Appends under way at once. */
const APPENDING_MAX = 200;
const BURST_EVENTS_MAX = 6;
const BODY = 'It is the sort of thing that people write to each other, neither long nor short.';

/** Numbers below 1 that are the same in every run. */
export function sequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Fills a log with what people do: half of the conversations are between two, the others in groups of up to fifty;
 * six events in ten are messages, the rest receipts, with an edit, a reaction, a deletion now and then. A few
 * conversations are busy, and all of them lie mixed in the log.
 */
export async function writePopulation(log: EventLog, events: number): Promise<void> {
  const random = sequence(7);
  const people = Array.from({ length: Math.max(50, events / 1_000) }, () => asUserId(uuidv7()));
  const begunAt = Date.now() - events;
  const some = (_: unknown, n: number): WrittenConversation => {
    const size = random() < 0.5 ? 2 : 3 + Math.floor(random() ** 3 * 48);
    // Pairs that differ: each with the next one, then with the one after that, and so on.
    const step = 1 + Math.floor(n / people.length);
    const members = Array.from({ length: size }, (__, m) => people[(n + m * step) % people.length] as UserId);
    return new WrittenConversation([...new Set(members)], begunAt);
  };
  const conversations = Array.from({ length: Math.ceil(events / EVENTS_PER_CONVERSATION) }, some);
  let written = conversations.length;
  const lane = async (n: number): Promise<void> => {
    for (let at = n; at < conversations.length; at += APPENDING_MAX) await conversations[at]?.store(log);
    // A lane has conversations of its own, so that appends to one never overtake each other.
    const own = conversations.filter((_, at) => at % APPENDING_MAX === n);
    while (written < events && own.length > 0) {
      const conversation = own[Math.floor(random() ** 2 * own.length)];
      if (conversation === undefined) return;
      const burst = Math.min(events - written, 1 + Math.floor(random() * BURST_EVENTS_MAX));
      written += burst;
      for (let one = 0; one < burst; one++) happen(conversation, random);
      await conversation.store(log);
    }
  };
  await Promise.all(Array.from({ length: APPENDING_MAX }, (_, n) => lane(n)));
}

function happen(conversation: WrittenConversation, random: () => number): void {
  const what = random();
  const by = conversation.member(Math.floor(random() * conversation.members.length));
  const target = conversation.lastMessage;
  if (what < 0.6 || target < 0) conversation.send(by, BODY.slice(0, 16 + Math.floor(random() * 64)));
  else if (what < 0.78) conversation.delivered([by]);
  else if (what < 0.95) conversation.read([by]);
  else if (what < 0.97)
    conversation.add({
      type: 'MessageEdited',
      by,
      content: { type: 'text', body: 'No: another one.' },
      target,
      version: 2,
    });
  else if (what < 0.995)
    conversation.add({ type: 'ReactionChanged', by, change: 'added', emoji: '👍', target });
  else conversation.add({ type: 'MessageDeleted', by, target });
}
