import { EngineError } from '../engine/errors';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { RecordedEvent } from '../engine/record';

/** An event of this type stands for another one: its data is `<revision>@<stream>`. */
export const LINK_TYPE = '$>';

const LINK = /^(\d{1,16})@(.+)$/s;

/** An event, or a link and the event it leads to, which may be gone. */
export type ResolvedEvent =
  | { readonly event: RecordedEvent; readonly link: undefined }
  | { readonly event: RecordedEvent | undefined; readonly link: RecordedEvent };

/** The event that stands in its stream or in `$all`: what positions and acknowledgements are about. */
export const originalOf = (resolved: ResolvedEvent): RecordedEvent =>
  resolved.link === undefined ? resolved.event : resolved.link;

export const unresolved = (event: RecordedEvent): ResolvedEvent => ({ event, link: undefined });

/** Whose events a reader may see through a link. */
export type MayRead = (stream: string) => Promise<boolean>;

export const everyStream: MayRead = () => Promise.resolve(true);

/**
 * Follows a link, one step. One that leads nowhere, or to what the reader may not see, stays without an
 * event.
 */
export async function resolveLink(
  store: EmbeddedEventStore,
  event: RecordedEvent,
  mayRead: MayRead,
): Promise<ResolvedEvent> {
  if (event.type !== LINK_TYPE) return unresolved(event);
  const [, revision, stream] = LINK.exec(event.data.toString('utf8')) ?? [];
  if (revision === undefined || stream === undefined) return { event: undefined, link: event };
  return { event: await find(store, stream, Number(revision), mayRead), link: event };
}

async function find(
  store: EmbeddedEventStore,
  stream: string,
  revision: number,
  mayRead: MayRead,
): Promise<RecordedEvent | undefined> {
  try {
    if (!(await mayRead(stream))) return undefined;
    const page = await store.readStream(stream, { from: revision, limit: 1 });
    const found = page.kind === 'events' ? page.events[0] : undefined;
    return found?.revision === revision ? found : undefined;
  } catch (error) {
    // A link is data that somebody wrote: a name that cannot be leads nowhere, like one that is not there.
    if (error instanceof EngineError && error.kind === 'invalid') return undefined;
    throw error;
  }
}
