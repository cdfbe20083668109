import type { Entry, Journal } from '../journal';
import { due } from './fold';
import type { Case, Violation } from './judge';

type Page = Extract<Entry, { type: 'page' }>;

/** A `sync` and the pushes of its socket up to the next one. */
interface Segment {
  readonly socket: number;
  readonly cursors: Readonly<Record<string, number>>;
  readonly pages: Page[];
  readonly paged: Map<string, Set<number>>;
  /** Pushed over the socket since its `ready`, as far as this segment goes. */
  readonly pushed: Map<string, Set<number>>;
  readonly excused: Set<string>;
  isDone: boolean;
}

/** What `sync` answers and what is pushed beside it: invariants 10 and 11. Only of what came over the wire. */
export function judgeSyncs(theCase: Case, journal: Journal): Violation[] {
  if (journal.kind !== 'wire') return [];
  const violations: Violation[] = [];
  const say = (invariant: number, what: string): void => {
    violations.push({ invariant, text: `${journal.device}: ${what}` });
  };
  for (const segment of segmentsOf(journal)) {
    if (!segment.isDone) continue;
    judgePages(theCase, journal, segment, say);
    judgeSeam(theCase, journal, segment, say);
  }
  return violations;
}

function segmentsOf({ entries }: Journal): Segment[] {
  const segments: Segment[] = [];
  let current: Segment | undefined;
  let pushed = new Map<string, Set<number>>();
  const note = (map: Map<string, Set<number>>, id: string, seq: number): void => {
    const seqs = map.get(id) ?? new Set();
    map.set(id, seqs.add(seq));
  };
  for (const entry of entries) {
    if (entry.type === 'ready') {
      current = undefined;
      pushed = new Map();
    } else if (entry.type === 'syncAsked') {
      // What was pushed before belongs to this answer, too: the socket is live since `ready`.
      pushed = new Map([...pushed].map(([id, seqs]) => [id, new Set(seqs)]));
      const { socket, cursors } = entry;
      current = { socket, cursors, pages: [], paged: new Map(), pushed, excused: new Set(), isDone: false };
      segments.push(current);
    } else if (entry.type === 'seen') {
      if (entry.via === 'push') note(pushed, entry.conversationId, entry.seq);
      else if (current !== undefined) note(current.paged, entry.conversationId, entry.seq);
    } else if (entry.type === 'page') {
      current?.pages.push(entry);
    } else if (entry.type === 'resync') {
      for (const id of entry.conversationIds) current?.excused.add(id);
    } else if (entry.type === 'synced' && current !== undefined) {
      current.isDone = true;
    }
  }
  return segments;
}

type Say = (invariant: number, what: string) => void;

/** Precisely (cursor, head]: a conversation's pages hold all of it, and nothing at or before the cursor. */
function judgePages({ folded }: Case, { userId }: Journal, segment: Segment, say: Say): void {
  for (const id of new Set(segment.pages.map(({ conversationId }) => conversationId))) {
    const pages = segment.pages.filter(({ conversationId }) => conversationId === id);
    const conversation = folded.get(id);
    const [first] = pages;
    if (conversation === undefined || first === undefined) continue;
    const cursor = segment.cursors[id] ?? -1;
    const headSeq = Math.max(...pages.map((page) => page.headSeq));
    const after = first.limited ? first.from - 1 : cursor;
    const got = segment.paged.get(id) ?? new Set();
    const missing = due(conversation, userId, after, headSeq).filter((seq) => !got.has(seq));
    if (missing.length > 0) {
      say(10, `a sync from ${cursor} of ${id} to ${headSeq} left out ${missing.slice(0, 10).join(', ')}`);
    }
    // A cursor beyond what the node knows of counts as none, and then everything there is comes again.
    const repeated = [...got].filter((seq) => seq <= cursor && cursor <= headSeq);
    if (repeated.length > 0)
      say(10, `a sync from ${cursor} of ${id} gave ${repeated.slice(0, 10).join(', ')}`);
  }
}

/** What was known, what the pages brought and what was pushed are one unbroken row. */
function judgeSeam({ folded }: Case, { userId }: Journal, segment: Segment, say: Say): void {
  for (const [id, pushed] of segment.pushed) {
    const conversation = folded.get(id);
    if (conversation === undefined || segment.excused.has(id)) continue;
    const limited = segment.pages.find(({ conversationId, limited: is }) => is && conversationId === id);
    const after = limited === undefined ? (segment.cursors[id] ?? -1) : limited.from - 1;
    const paged = segment.paged.get(id) ?? new Set();
    const missing = due(conversation, userId, after, Math.max(...pushed)).filter(
      (seq) => !pushed.has(seq) && !paged.has(seq),
    );
    if (missing.length > 0) {
      const list = missing.slice(0, 10).join(', ');
      say(
        11,
        `socket ${segment.socket}: between its sync from ${after} of ${id} and its last push it lacks ${list}`,
      );
    }
  }
}
