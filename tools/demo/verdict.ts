import type { EventFrame } from '../../src/protocol/events';
import type { Person, Sighting } from './person';

export interface Verdict {
  readonly lost: number;
  readonly doubled: number;
  readonly outOfOrder: number;
  /** Given to somebody who was no member then. */
  readonly strangers: number;
  readonly details: readonly string[];
}

const DETAILS_MAX = 20;

/** Receipts of larger groups are not meant for everybody, so nobody is asked whether they came. */
const counts = (event: string): boolean => event !== 'message.delivered' && event !== 'message.read';

/** Which seqs were meant for whom: a fold of the log, with none of the server's code in it. */
export function audienceOf(log: readonly EventFrame[]): ReadonlyMap<string, ReadonlySet<number>> {
  const meant = new Map<string, Set<number>>();
  const members = new Set<string>();
  for (const { event, data } of log) {
    const receivers = new Set(members);
    if (event === 'conversation.started') for (const id of data.memberIds) members.add(id);
    if (event === 'membership.changed' && data.change === 'joined') members.add(data.userId);
    if (event === 'membership.changed' && (data.change === 'left' || data.change === 'removed')) {
      members.delete(data.userId);
    }
    for (const id of members) receivers.add(id);
    if (!counts(event)) continue;
    for (const id of receivers) {
      const seqs = meant.get(id) ?? new Set<number>();
      meant.set(id, seqs.add(data.seq));
    }
  }
  return meant;
}

function judgeOne(nick: string, seen: readonly Sighting[], meant: ReadonlySet<number>): Verdict {
  const details: string[] = [];
  const own = seen.filter(({ event }) => counts(event)).map(({ seq }) => seq);
  const unique = new Set(own);
  const missing = [...meant].filter((seq) => !unique.has(seq));
  const strange = [...unique].filter((seq) => !meant.has(seq));
  const backwards = own.filter((seq, index) => index > 0 && seq < (own[index - 1] ?? -1));
  if (missing.length > 0) details.push(`${nick} never saw ${missing.slice(0, 10).join(', ')}`);
  if (own.length > unique.size) details.push(`${nick} was given ${own.length - unique.size} events twice`);
  if (backwards.length > 0) details.push(`${nick} was given ${backwards.join(', ')} after later ones`);
  if (strange.length > 0) details.push(`${nick} was given ${strange.join(', ')} as no member`);
  return {
    lost: missing.length,
    doubled: own.length - unique.size,
    outOfOrder: backwards.length,
    strangers: strange.length,
    details,
  };
}

/** Compares what devices saw, and what their owners were acknowledged, with the log. */
export function judge(log: readonly EventFrame[], people: readonly Person[]): Verdict {
  const meant = audienceOf(log);
  const stored = new Map<string, number[]>();
  for (const { event, data } of log) {
    if (event !== 'message.sent') continue;
    const key = `${data.by}/${data.clientMessageId}`;
    stored.set(key, [...(stored.get(key) ?? []), data.seq]);
  }
  const verdicts = people.map(({ nick, id, seen }) => judgeOne(nick, seen, meant.get(id) ?? new Set()));
  const sum = (of: (verdict: Verdict) => number): number => verdicts.reduce((all, one) => all + of(one), 0);
  const details = verdicts.flatMap((verdict) => verdict.details);
  let lost = sum((verdict) => verdict.lost);
  for (const person of people) {
    for (const [key, seq] of person.acknowledged) {
      if (stored.get(`${person.id}/${key}`)?.[0] === seq) continue;
      lost += 1;
      details.push(`${person.nick} was told that ${key} is stored at ${seq}, and it is not`);
    }
  }
  const twice = [...stored].filter(([, seqs]) => seqs.length > 1);
  details.push(...twice.map(([key, seqs]) => `${key} is stored at ${seqs.join(' and ')}`));
  return {
    lost,
    doubled: sum((verdict) => verdict.doubled) + twice.length,
    outOfOrder: sum((verdict) => verdict.outOfOrder),
    strangers: sum((verdict) => verdict.strangers),
    details: details.slice(0, DETAILS_MAX),
  };
}
