/** An event as it was stored: its type, and what the log keeps beside it. */
export interface StoredEvent {
  readonly type: string;
  readonly data: unknown;
  readonly metadata: unknown;
}

/** Turns an event of one shape into the next; pure, and total over whatever was ever stored in that shape. */
type Upcaster = (event: StoredEvent) => StoredEvent;

/**
 * Shipped events never change shape; a new shape is a new `schemaVersion`, and the step to it from the one
 * before stands here under `<type>/<version it takes>`. Steps are applied one after another.
 *
 * Empty while every newer version only adds optional fields. Each type and version has an example in test/golden,
 * for ever.
 */
const UPCASTERS: ReadonlyMap<string, Upcaster> = new Map<string, Upcaster>();

/** A chain longer than this is a loop. */
const STEPS_MAX = 32;

/**
 * Brings a stored event into the shape that this version of the program knows. Events that have no upcaster
 * come back with the very same data and metadata.
 */
export function upcast(
  type: string,
  data: unknown,
  metadata: unknown,
  upcasters: ReadonlyMap<string, Upcaster> = UPCASTERS,
): StoredEvent {
  let event: StoredEvent = { type, data, metadata };
  if (upcasters.size === 0) return event;
  for (let step = 0; step < STEPS_MAX; step++) {
    const upcaster = upcasters.get(`${event.type}/${versionOf(event.metadata)}`);
    if (upcaster === undefined) return event;
    event = upcaster(event);
  }
  throw new Error(`the upcasters of ${type} never end`);
}

function versionOf(metadata: unknown): number {
  if (typeof metadata !== 'object' || metadata === null || !('schemaVersion' in metadata)) return 1;
  return Number(metadata.schemaVersion);
}
