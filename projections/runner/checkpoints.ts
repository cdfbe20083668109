import type { Queryable } from '../../src/infrastructure/postgres/database';
import {
  formatProgress,
  PROGRESS_CHANNEL,
  type Progress,
} from '../../src/infrastructure/postgres/progress-channel';
import { formatPosition, parsePosition, POSITION_START, type Position } from '../../src/kernel/position';

/** Where each of the projections stands; POSITION_START for one that has never run. */
export async function readCheckpoints(
  database: Queryable,
  names: readonly string[],
): Promise<ReadonlyMap<string, Position>> {
  const rows = await database.query<{ projection: string; position: string }>(
    'SELECT projection, position FROM read.checkpoints WHERE projection = ANY($1)',
    [names],
  );
  const known = new Map(rows.map((row) => [row.projection, parsePosition(row.position)]));
  return new Map(names.map((name) => [name, known.get(name) ?? POSITION_START]));
}

/**
 * Moves the checkpoints forward, never back, in the transaction that wrote the rows; whoever listens is told when
 * it commits. @returns where they stood before, as {@link readCheckpoints} says it
 */
export async function writeCheckpoints(
  client: Queryable,
  reached: ReadonlyMap<string, Position>,
  progress: Progress,
): Promise<ReadonlyMap<string, Position>> {
  const positions = [...reached.values()];
  const rows = await client.query<{ stood: Record<string, string> | null }>(
    `WITH moved AS (
       INSERT INTO read.checkpoints AS c (projection, position, commit_position, prepare_position, updated_at)
       SELECT *, clock_timestamp() FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[])
       ON CONFLICT (projection) DO UPDATE
       SET position = excluded.position, commit_position = excluded.commit_position,
           prepare_position = excluded.prepare_position, updated_at = excluded.updated_at
       WHERE (c.commit_position, c.prepare_position) < (excluded.commit_position, excluded.prepare_position)
       RETURNING 1
     )
     SELECT (SELECT pg_notify($5, $6) WHERE EXISTS (SELECT FROM moved)),
            (SELECT json_object_agg(projection, position) FROM read.checkpoints
             WHERE projection = ANY ($1)) AS stood`,
    [
      [...reached.keys()],
      positions.map(formatPosition),
      positions.map((position) => sumOfShards(position, 'commit')),
      positions.map((position) => sumOfShards(position, 'prepare')),
      PROGRESS_CHANNEL,
      formatProgress(progress),
    ],
    'checkpoints.write',
  );
  const stood = rows[0]?.stood ?? {};
  return new Map(
    [...reached.keys()].map((name) => [name, parsePosition(stood[name] ?? formatPosition(POSITION_START))]),
  );
}

/** Rises whenever a reader gets on in any of the shards, and is the number itself in one store. */
const sumOfShards = ({ others = [], ...first }: Position, which: 'commit' | 'prepare'): string =>
  others.reduce((sum, place) => sum + place[which], first[which]).toString();
