import { parseAnnotations } from '../import/annotations';
import type { ParsedLog } from '../import/parse-log';

/** One thing somebody does in the replay, and when, in milliseconds of the log since its first line. */
export type Cue =
  | {
      readonly at: number;
      readonly kind: 'says';
      readonly nick: string;
      readonly body: string;
      readonly line: number;
      readonly answers: number | undefined;
    }
  | { readonly at: number; readonly kind: 'joins' | 'leaves'; readonly nick: string };

export interface Script {
  readonly title: string;
  /** Members from the start: who says something without having come in first. */
  readonly present: readonly string[];
  readonly cues: readonly Cue[];
  readonly durationMs: number;
}

/** What is done before its time is known happens with the next line that has one. */
const MINUTE_MS = 60_000;

/**
 * A log as a play. Lines of one minute are spread over it evenly. A nick is a person: who is renamed leaves, and
 * the new name comes in. Lines without a body are left out, since no device could send them.
 */
export function scriptOf(log: ParsedLog, annotations: string): Script {
  const { antecedents } = parseAnnotations(annotations);
  const here = new Set<string>();
  const present = new Set<string>();
  const cues: Cue[] = [];
  const comes = (at: number, nick: string): void => {
    if (here.has(nick)) return;
    here.add(nick);
    cues.push({ at, kind: 'joins', nick });
  };
  const goes = (at: number, nick: string): void => {
    if (here.delete(nick)) cues.push({ at, kind: 'leaves', nick });
  };
  for (const { line, at } of spread(log)) {
    switch (line.kind) {
      case 'message':
        if (line.body === '') break;
        if (!here.has(line.nick)) {
          // Somebody who was here before the log began; after a leaving, somebody who came back unseen.
          if (cues.some((cue) => cue.nick === line.nick)) comes(at, line.nick);
          else present.add(line.nick);
          here.add(line.nick);
        }
        cues.push({
          at,
          kind: 'says',
          nick: line.nick,
          body: line.body,
          line: line.line,
          answers: antecedents.get(line.line),
        });
        break;
      case 'joined':
        comes(at, line.nick);
        break;
      case 'left':
      case 'kicked':
        goes(at, line.nick);
        break;
      case 'renamed':
        goes(at, line.from);
        comes(at, line.to);
        break;
      case 'skipped':
      case 'bad':
        break;
    }
  }
  return {
    title: `${log.channel} ${log.date}`,
    present: [...present],
    cues,
    durationMs: cues.at(-1)?.at ?? 0,
  };
}

function spread(log: ParsedLog): { line: ParsedLog['lines'][number]; at: number }[] {
  const minutes = new Map<number, ParsedLog['lines'][number][]>();
  let minute: number | undefined;
  for (const line of log.lines) {
    if (line.kind === 'message') minute = line.at;
    if (minute === undefined) continue;
    const group = minutes.get(minute) ?? [];
    minutes.set(minute, group);
    group.push(line);
  }
  const start = [...minutes.keys()][0] ?? 0;
  return [...minutes].flatMap(([at, lines]) =>
    lines.map((line, index) => ({ line, at: at - start + (index * MINUTE_MS) / lines.length })),
  );
}
