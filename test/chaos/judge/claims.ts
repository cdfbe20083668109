import type { Entry, Journal } from '../journal';
import type { Case, Violation } from './judge';

type Acked = Extract<Entry, { type: 'acked' }>;

const isAcked = (entry: Entry): entry is Acked => entry.type === 'acked';

/** What devices were told of their own messages: invariants 1, 5, 7, 8, and 22. */
export function judgeClaims(theCase: Case): Violation[] {
  const places = new Map<string, number>();
  return theCase.journals.flatMap((journal) => [
    ...journal.entries.filter(isAcked).flatMap((ack) => judgeAck(theCase, journal, ack, places)),
    ...judgeUnanswered(journal),
    ...judgeOrder(journal),
    ...judgeReads(journal),
  ]);
}

function judgeAck(
  { log }: Case,
  { device, userId }: Journal,
  { conversationId, key, seq, ordinal }: Acked,
  places: Map<string, number>,
): Violation[] {
  const name = `${conversationId}/${userId}/${key}`;
  const before = places.get(name) ?? seq;
  places.set(name, before);
  if (before !== seq)
    return [{ invariant: 5, text: `${device}: ${key} was acknowledged at ${before} and ${seq}` }];
  const stored = log.get(conversationId)?.[seq];
  const isThere =
    stored?.type === 'MessageSent' &&
    stored.data['by'] === userId &&
    stored.data['clientMessageId'] === key &&
    stored.data['ordinal'] === ordinal;
  if (isThere) return [];
  return [
    { invariant: 1, text: `${device}: ${key} was acknowledged at ${seq} of ${conversationId}, and is lost` },
  ];
}

/** Every message whose outcome was unknown must have got one in the end. */
function judgeUnanswered({ device, entries }: Journal): Violation[] {
  const open = new Set<string>();
  for (const entry of entries) {
    if (entry.type === 'sent') open.add(entry.key);
    if (entry.type === 'acked' || (entry.type === 'refused' && !entry.retryable)) open.delete(entry.key);
  }
  return [...open].map((key) => ({ invariant: 22, text: `${device}: ${key} was sent and never answered` }));
}

/** Messages that went out for the first time over one socket, and were neither refused nor repeated, keep their order. */
function judgeOrder({ device, entries }: Journal): Violation[] {
  const firstSentAt = new Map<string, number>();
  const spoiled = new Set<string>();
  const seqs = new Map<string, number>();
  for (const [n, entry] of entries.entries()) {
    if (entry.type === 'refused') spoiled.add(entry.key);
    if (entry.type === 'sent') {
      if (firstSentAt.has(entry.key)) spoiled.add(entry.key);
      else firstSentAt.set(entry.key, n);
    }
    if (entry.type === 'acked') seqs.set(entry.key, entry.seq);
  }
  const last = new Map<string, { seq: number; key: string }>();
  const violations: Violation[] = [];
  for (const [n, entry] of entries.entries()) {
    if (entry.type !== 'sent' || spoiled.has(entry.key) || firstSentAt.get(entry.key) !== n) continue;
    const seq = seqs.get(entry.key);
    if (seq === undefined) continue;
    const lane = `${entry.socket}/${entry.conversationId}`;
    const before = last.get(lane);
    if (before !== undefined && before.seq > seq) {
      violations.push({
        invariant: 7,
        text: `${device}: ${before.key} was sent before ${entry.key} and stands after it`,
      });
    }
    last.set(lane, { seq, key: entry.key });
  }
  return violations;
}

function judgeReads({ device, entries }: Journal): Violation[] {
  return entries.flatMap((entry) =>
    entry.type === 'readBack' && !entry.found
      ? [
          {
            invariant: 8,
            text: `${device}: a read with minSeq=${entry.seq} has not what was acknowledged there`,
          },
        ]
      : [],
  );
}
