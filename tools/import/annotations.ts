/** `a b -` of an annotation: the message in line b answers the one in line a; a = b begins a thread. */
export interface Annotations {
  /** Line → the line it answers; the nearest one when several are named. */
  readonly antecedents: ReadonlyMap<number, number>;
  readonly bad: readonly { readonly line: number; readonly why: string }[];
}

const PAIR = /^(\d+) (\d+) -$/;

/** Reads an annotation file; lines that are no pair, or answer the future, are told and left out. */
export function parseAnnotations(text: string): Annotations {
  const antecedents = new Map<number, number>();
  const bad: { line: number; why: string }[] = [];
  for (const [line, pair] of text.split('\n').entries()) {
    if (pair.trim() === '') continue;
    const match = PAIR.exec(pair.trim());
    if (match === null) {
      bad.push({ line, why: 'not `a b -`' });
      continue;
    }
    const [a, b] = [Number(match[1]), Number(match[2])].sort((x, y) => x - y) as [number, number];
    if (a !== b) antecedents.set(b, Math.max(a, antecedents.get(b) ?? a));
  }
  return { antecedents, bad };
}
