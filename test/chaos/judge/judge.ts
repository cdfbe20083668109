import type { Evidence, Journal } from '../journal';
import { judgeClaims } from './claims';
import { fold, type FoldedConversation } from './fold';
import { judgeSightings } from './sightings';
import { judgeSyncs } from './syncs';
import { judgeViews } from './views';

/** A promise that was broken. `invariant`: its number in the list of docs/guarantees.md. */
export interface Violation {
  readonly invariant: number;
  readonly text: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** What was looked at: a run in which nothing happened proves nothing. */
  readonly counted: {
    readonly conversations: number;
    readonly events: number;
    readonly messages: number;
    readonly acknowledged: number;
    readonly sightings: number;
    readonly connections: number;
    readonly views: number;
  };
}

/** What a judgement is made of: the log, folded, and who says what of it. */
export interface Case extends Evidence {
  readonly folded: ReadonlyMap<string, FoldedConversation>;
}

/**
 * Compares what devices were told and shown, and what REST says, with the log. Nothing here knows the server's
 * code: the log is folded by rules written down a second time.
 */
export function judge(evidence: Evidence): Verdict {
  const folded = new Map([...evidence.log].map(([id, events]) => [id, fold(events)]));
  const theCase: Case = { ...evidence, folded };
  const violations: Violation[] = [
    ...[...folded.values()].flatMap(({ faults }) => faults),
    ...judgeClaims(theCase),
    ...evidence.journals.flatMap((journal) => judgeSightings(theCase, journal)),
    ...evidence.journals.flatMap((journal) => judgeSyncs(theCase, journal)),
    ...judgeViews(theCase),
  ];
  return { violations, counted: counts(theCase) };
}

function counts({ log, journals, views }: Case): Verdict['counted'] {
  const events = [...log.values()].flat();
  const entries = (type: Journal['entries'][number]['type']): number =>
    journals.reduce((sum, journal) => sum + journal.entries.filter((entry) => entry.type === type).length, 0);
  return {
    conversations: log.size,
    events: events.length,
    messages: events.filter(({ type }) => type === 'MessageSent').length,
    acknowledged: entries('acked'),
    sightings: entries('seen'),
    connections: entries('ready'),
    views: views.length,
  };
}
