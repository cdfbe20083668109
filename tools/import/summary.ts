import type { Plan } from './plan';
import type { ParsedLog } from './parse-log';

/** Lines of one kind that the console shows; the report file has all. */
export const PROBLEMS_SHOWN_MAX = 20;
/** Lines of a report. */
export const PROBLEMS_KEPT_MAX = 200_000;

export type ProblemKind = 'bad' | 'refused' | 'skipped' | 'note';
const KINDS: readonly ProblemKind[] = ['bad', 'refused', 'skipped', 'note'];

export interface Problem {
  readonly kind: ProblemKind;
  readonly file: string;
  /** From 0, as in the annotations. */
  readonly line: number;
  readonly what: string;
}

/** What a run did and met. */
export class ImportSummary {
  readonly nicks = new Set<string>();
  readonly speakers = new Set<string>();
  readonly counts = {
    files: 0,
    finishedBefore: 0,
    messages: 0,
    messagesBefore: 0,
    replies: 0,
    joins: 0,
    leaves: 0,
    renames: 0,
    strangers: 0,
    stepsDone: 0,
    stepsBefore: 0,
  };
  readonly problems: Problem[] = [];
  private readonly problemCounts = new Map<ProblemKind, number>();

  addFile(log: ParsedLog, plan: Plan): void {
    this.counts.files += 1;
    this.counts.messages += plan.counts.messages;
    this.counts.replies += plan.counts.replies;
    this.counts.joins += plan.counts.joins;
    this.counts.leaves += plan.counts.leaves;
    this.counts.renames += plan.counts.renames;
    this.counts.strangers += plan.counts.strangers;
    for (const nick of plan.nicks) this.nicks.add(nick);
    for (const nick of plan.speakers) this.speakers.add(nick);
    for (const line of log.lines) {
      if (line.kind === 'bad' || line.kind === 'skipped') {
        this.problem({ kind: line.kind, file: log.name, line: line.line, what: line.why });
      }
    }
    for (const { line, what } of log.notes) this.problem({ kind: 'note', file: log.name, line, what });
  }

  problem(problem: Problem): void {
    this.problemCounts.set(problem.kind, this.count(problem.kind) + 1);
    if (this.problems.length < PROBLEMS_KEPT_MAX) this.problems.push(problem);
  }

  count(kind: ProblemKind): number {
    return this.problemCounts.get(kind) ?? 0;
  }

  /** For the console. */
  text(elapsedMs: number): string {
    const { counts } = this;
    const added = counts.messages - counts.messagesBefore - this.count('refused');
    const rate = Math.round((added / Math.max(1, elapsedMs)) * 1_000);
    const rows: readonly (readonly [string, string])[] = [
      ['files', `${counts.files} (${counts.finishedBefore} finished before)`],
      ['messages', `${counts.messages} (${counts.messagesBefore} there already)`],
      ['  added', `${Math.max(0, added)} at ${rate}/s`],
      ['  replies', String(counts.replies)],
      ['nicks', `${this.nicks.size} (${this.speakers.size} of them spoke)`],
      ['joined', String(counts.joins)],
      ['left', String(counts.leaves)],
      ['renamed', String(counts.renames)],
      ['left unseen', String(counts.strangers)],
      ...KINDS.map((kind) => [kind, String(this.count(kind))] as const),
    ];
    const table = rows.map(([name, value]) => `${name.padEnd(12)} ${value}`);
    return [...table, ...this.shown('bad'), ...this.shown('refused')].join('\n');
  }

  /** For the report file: one problem a line, separated by tabs; lines counted from 1, as editors do. */
  report(): string {
    return this.problems
      .map(({ kind, file, line, what }) => `${kind}\t${file}:${line + 1}\t${what}\n`)
      .join('');
  }

  private shown(kind: ProblemKind): readonly string[] {
    const all = this.problems.filter((problem) => problem.kind === kind);
    const lines = all
      .slice(0, PROBLEMS_SHOWN_MAX)
      .map(({ file, line, what }) => `${kind}: ${file}:${line + 1}: ${what}`);
    const more = this.count(kind) - lines.length;
    return more > 0 ? [...lines, `${kind}: ${more} more`] : lines;
  }
}
