/**
 * Where an event stands in the order of the whole log. EventStoreDB names it by two numbers; they are equal
 * except for the members of one multi-event write. Compared, stored and printed; never calculated with.
 */
export interface Position {
  readonly commit: bigint;
  readonly prepare: bigint;
}

/** Before the first event of the log. */
export const POSITION_START: Position = { commit: -1n, prepare: -1n };

export function comparePositions(a: Position, b: Position): -1 | 0 | 1 {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1;
  if (a.prepare !== b.prepare) return a.prepare < b.prepare ? -1 : 1;
  return 0;
}

/** True when everything up to and including `goal` lies behind or at `position`. */
export const hasPassed = (position: Position, goal: Position): boolean =>
  comparePositions(position, goal) >= 0;

/** `commit/prepare`, for checkpoints, logs and the wire. */
export const formatPosition = (position: Position): string => `${position.commit}/${position.prepare}`;

/** Inverse of {@link formatPosition}. @throws SyntaxError when the text has another form. */
export function parsePosition(text: string): Position {
  const match = /^(-?\d+)\/(-?\d+)$/.exec(text);
  if (match === null) throw new SyntaxError(`not a log position: ${JSON.stringify(text)}`);
  return { commit: BigInt(match[1] as string), prepare: BigInt(match[2] as string) };
}
