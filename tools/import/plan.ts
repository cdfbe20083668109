import { assertNever } from '../../src/kernel/assert-never';
import type { ClientMessageId } from '../../src/kernel/ids';
import type { Annotations } from './annotations';
import { messageKey, stepId } from './keys';
import type { ParsedLog } from './parse-log';

interface At {
  /** Names the step for ever, whatever run takes it. */
  readonly id: string;
  readonly line: number;
  readonly nick: string;
}

/** One thing to do, and one event in the log when it is done. */
export type Step =
  | ({ readonly kind: 'start'; readonly title: string } & At)
  | ({ readonly kind: 'join' | 'leave' | 'kick' } & At)
  | ({
      readonly kind: 'say';
      readonly body: string;
      readonly key: ClientMessageId;
      /** ISO 8601: when it was said. */
      readonly originalAt: string;
      /** The line it answers. */
      readonly answers: number | undefined;
    } & At);

export interface PlanCounts {
  readonly messages: number;
  readonly replies: number;
  readonly joins: number;
  readonly leaves: number;
  readonly renames: number;
  /** Somebody left, or was kicked, who had never been seen: nothing to do. */
  readonly strangers: number;
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly counts: PlanCounts;
  /** Of those who spoke; smaller than `nicks`, which also has those who only came and went. */
  readonly speakers: ReadonlySet<string>;
  readonly nicks: ReadonlySet<string>;
}

export interface PlanOptions {
  /** Nicks that can be members at one time. When one more comes, the one longest silent leaves. */
  readonly capacity: number;
  /** At the end of the file everybody leaves: the next file of the same conversation begins with nobody. */
  readonly leaveAtEnd: boolean;
}

/** Who is there, the longest silent first. */
class Present {
  private readonly nicks = new Set<string>();

  constructor(private readonly capacity: number) {}

  has(nick: string): boolean {
    return this.nicks.has(nick);
  }

  /** Comes, or shows signs of life. @returns who must leave to make room */
  touch(nick: string): string | undefined {
    const isNew = !this.nicks.delete(nick);
    const leaver = isNew && this.nicks.size >= this.capacity ? this.nicks.values().next().value : undefined;
    if (leaver !== undefined) this.nicks.delete(leaver);
    this.nicks.add(nick);
    return leaver;
  }

  leave(nick: string): boolean {
    return this.nicks.delete(nick);
  }

  all(): readonly string[] {
    return [...this.nicks];
  }
}

class Planner {
  readonly steps: Step[] = [];
  readonly speakers = new Set<string>();
  readonly nicks = new Set<string>();
  readonly counts = { messages: 0, replies: 0, joins: 0, leaves: 0, renames: 0, strangers: 0 };
  private readonly present: Present;

  constructor(
    private readonly file: string,
    capacity: number,
  ) {
    this.present = new Present(capacity);
  }

  come(nick: string, line: number): void {
    const wasHere = this.present.has(nick);
    const leaver = this.present.touch(nick);
    if (leaver !== undefined) this.add('leave', leaver, line);
    if (wasHere) return;
    this.add('join', nick, line);
  }

  go(kind: 'leave' | 'kick', nick: string, line: number): void {
    if (this.present.leave(nick)) this.add(kind, nick, line);
    else this.counts.strangers += 1;
  }

  rename(from: string, to: string, line: number): void {
    if (from === to) return;
    this.counts.renames += 1;
    if (this.present.leave(from)) this.add('leave', from, line);
    this.come(to, line);
  }

  say(step: Omit<Extract<Step, { kind: 'say' }>, 'kind' | 'id'>): void {
    this.come(step.nick, step.line);
    this.speakers.add(step.nick);
    this.counts.messages += 1;
    if (step.answers !== undefined) this.counts.replies += 1;
    this.steps.push({ ...step, kind: 'say', id: stepId(this.file, step.line, 'say') });
  }

  leaveAll(line: number): void {
    for (const nick of this.present.all()) this.go('leave', nick, line);
  }

  private add(kind: 'join' | 'leave' | 'kick', nick: string, line: number): void {
    this.nicks.add(nick);
    if (kind === 'join') this.counts.joins += 1;
    else this.counts.leaves += 1;
    this.steps.push({ kind, nick, line, id: stepId(this.file, line, `${kind}/${nick}`) });
  }
}

/**
 * What must happen in a conversation so that it has been what the log tells. Follows from the file alone: every
 * run has the same steps with the same ids. A nick that speaks without having been seen coming comes first.
 */
export function planOf(log: ParsedLog, annotations: Annotations, options: PlanOptions): Plan {
  const planner = new Planner(log.name, options.capacity);
  const spoken = new Set<number>();
  let minute = 0;
  let inMinute = 0;
  for (const line of log.lines) {
    switch (line.kind) {
      case 'message': {
        inMinute = line.at === minute ? inMinute + 1 : 0;
        minute = line.at;
        const answers = annotations.antecedents.get(line.line);
        planner.say({
          nick: line.nick,
          line: line.line,
          body: line.body,
          key: messageKey(log.name, line.line, line.at + inMinute),
          originalAt: new Date(line.at).toISOString(),
          answers: answers !== undefined && spoken.has(answers) ? answers : undefined,
        });
        spoken.add(line.line);
        break;
      }
      case 'joined':
        planner.come(line.nick, line.line);
        break;
      case 'left':
        planner.go('leave', line.nick, line.line);
        break;
      case 'kicked':
        planner.go('kick', line.nick, line.line);
        break;
      case 'renamed':
        planner.rename(line.from, line.to, line.line);
        break;
      case 'skipped':
      case 'bad':
        break;
      default:
        assertNever(line);
    }
  }
  if (options.leaveAtEnd) planner.leaveAll(log.lines.length);
  return { steps: planner.steps, counts: planner.counts, speakers: planner.speakers, nicks: planner.nicks };
}
