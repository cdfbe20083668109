/**
 * Where an event stands in the order of the whole log, or how far somebody has come who reads it. EventStoreDB names a
 * place by two numbers; they are equal except for the members of one multi-event write. Compared, stored and printed;
 * never calculated with.
 *
 * A log in shards (docs/adr/0037) has no order between them, so a position there is one place a shard: a reader's says how
 * far it has come in each, an event's is its place in its own shard and the start of all others.
 */
export interface Position {
  readonly commit: bigint;
  readonly prepare: bigint;
  /** The second shard's place and those after it; the two numbers above are the first one's. Absent: at their start. */
  readonly others?: readonly Position[];
}

/** Before the first event of the log. */
export const POSITION_START: Position = { commit: -1n, prepare: -1n };

/** Of two places in one log or in one shard of it; the places of other shards are not looked at. */
export function comparePositions(a: Position, b: Position): -1 | 0 | 1 {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1;
  if (a.prepare !== b.prepare) return a.prepare < b.prepare ? -1 : 1;
  return 0;
}

/** True when everything up to and including `goal` lies behind or at `position`, in every shard. */
export const hasPassed = (position: Position, goal: Position): boolean =>
  comparePositions(position, goal) >= 0 &&
  (goal.others === undefined ||
    goal.others.every((place, n) => comparePositions(placeIn(position, n + 1), place) >= 0));

/** How far somebody is who has passed both: one of them, but for a log in shards. */
export const furthest = (a: Position, b: Position): Position =>
  inEachShard(a, b, (one, other) => (comparePositions(one, other) >= 0 ? one : other));

/** How far two are who have come to these: what both have passed. */
export const nearest = (a: Position, b: Position): Position =>
  inEachShard(a, b, (one, other) => (comparePositions(one, other) <= 0 ? one : other));

type Choice = (a: Position, b: Position) => Position;

function inEachShard(a: Position, b: Position, choose: Choice): Position {
  if (a.others === undefined && b.others === undefined) return choose(a, b);
  const count = Math.max(shardsOf(a), shardsOf(b));
  return fromPlaces(Array.from({ length: count }, (_, n) => choose(placeIn(a, n), placeIn(b, n))));
}

const shardsOf = ({ others }: Position): number => 1 + (others?.length ?? 0);

/** True when there is a shard in which somebody who was at `before` has not moved, and not passed `goal`. */
export const standsIn = (position: Position, before: Position, goal: Position): boolean =>
  Array.from({ length: shardsOf(goal) }, (_, n) => placeIn(position, n)).some(
    (place, n) =>
      comparePositions(place, placeIn(before, n)) === 0 && comparePositions(place, placeIn(goal, n)) < 0,
  );

/** The place in one shard, counted from 0. */
export const placeIn = (position: Position, shard: number): Position =>
  shard === 0 ? position : (position.others?.[shard - 1] ?? POSITION_START);

/** One place a shard, in their order. */
export function fromPlaces(places: readonly Position[]): Position {
  const [{ commit, prepare } = POSITION_START, ...others] = places;
  return others.length === 0 ? { commit, prepare } : { commit, prepare, others };
}

/** This position in these shards, and the other one in all others. */
export const within = (shards: ReadonlySet<number>, position: Position, other: Position): Position =>
  fromPlaces(
    Array.from({ length: Math.max(shardsOf(position), shardsOf(other)) }, (_, n) =>
      placeIn(shards.has(n) ? position : other, n),
    ),
  );

/** The position of an event that has this place in its shard. */
export const ofShard = (shard: number, place: Position): Position =>
  shard === 0
    ? place
    : {
        ...POSITION_START,
        others: Array.from({ length: shard }, (_, n) => (n + 1 === shard ? place : POSITION_START)),
      };

/** The shard in which the event of this position lies. */
export const shardOf = ({ others }: Position): number =>
  others === undefined ? 0 : 1 + others.findIndex(({ commit }) => commit >= 0n);

/** The same, but at the start of these shards: for whoever cannot wait for them. */
export const without = (position: Position, shards: ReadonlySet<number>): Position =>
  shards.size === 0
    ? position
    : fromPlaces(
        Array.from({ length: shardsOf(position) }, (_, n) =>
          shards.has(n) ? POSITION_START : placeIn(position, n),
        ),
      );

/** `commit/prepare`, with a comma between those of several shards; for checkpoints, logs and the wire. */
export const formatPosition = ({ commit, prepare, others = [] }: Position): string =>
  [{ commit, prepare }, ...others].map((place) => `${place.commit}/${place.prepare}`).join();

/** Inverse of {@link formatPosition}. @throws SyntaxError when the text has another form. */
export const parsePosition = (text: string): Position => fromPlaces(text.split(',').map(parsePlace));

function parsePlace(text: string): Position {
  const match = /^(-?\d+)\/(-?\d+)$/.exec(text);
  if (match === null) throw new SyntaxError(`not a log position: ${JSON.stringify(text)}`);
  return { commit: BigInt(match[1] as string), prepare: BigInt(match[2] as string) };
}
