import { formatPosition, parsePosition, type Position } from '../../kernel/position';

/** Postgres channel on which a group of projections says how far it is, with every commit. */
export const PROGRESS_CHANNEL = 'parley_progress';

export interface Progress {
  /** Name of the group's lease. */
  readonly group: string;
  /** All projections of the group have passed it. */
  readonly position: Position;
}

export const formatProgress = ({ group, position }: Progress): string =>
  `${formatPosition(position)} ${group}`;

/** Inverse of {@link formatProgress}; undefined for any other text. */
export function parseProgress(text: string): Progress | undefined {
  const match = /^(-?\d+\/-?\d+(?:,-?\d+\/-?\d+)*) (.+)$/.exec(text);
  if (match === null) return undefined;
  return { position: parsePosition(match[1] as string), group: match[2] as string };
}
