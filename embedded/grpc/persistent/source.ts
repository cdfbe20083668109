import type { EmbeddedEventStore } from '../../engine/event-store';
import type { RecordedEvent } from '../../engine/record';
import { ALL, isOwnBookkeeping, type GroupSettings, type Place } from './settings';

export type SourceItem =
  | { readonly kind: 'event'; readonly event: RecordedEvent; readonly place: Place }
  /** Nothing for this group lies between the last item and `place`. */
  | { readonly kind: 'passed'; readonly place: Place }
  | { readonly kind: 'live' }
  | { readonly kind: 'behind' };

/** What a group hands out, in order, from after a place on, until the signal aborts or the store closes. */
export function sourceOf(
  store: EmbeddedEventStore,
  settings: GroupSettings,
  after: Place,
  signal: AbortSignal,
): AsyncGenerator<SourceItem, void, undefined> {
  return settings.stream === ALL
    ? wholeLog(store, settings, after, signal)
    : oneStream(store, settings.stream, after, signal);
}

async function* wholeLog(
  store: EmbeddedEventStore,
  { filter }: GroupSettings,
  after: Place,
  signal: AbortSignal,
): AsyncGenerator<SourceItem, void, undefined> {
  const items = store.subscribeToAll({ after, signal, ...(filter === undefined ? {} : { filter }) });
  for await (const item of items) {
    switch (item.kind) {
      case 'event': {
        const { event } = item;
        const place = event.position;
        yield isOwnBookkeeping(event.stream) ? { kind: 'passed', place } : { kind: 'event', event, place };
        break;
      }
      case 'checkpoint':
        yield { kind: 'passed', place: item.position };
        break;
      case 'caughtUp':
        yield { kind: 'live' };
        break;
      case 'fellBehind':
        yield { kind: 'behind' };
        break;
    }
  }
}

async function* oneStream(
  store: EmbeddedEventStore,
  stream: string,
  after: Place,
  signal: AbortSignal,
): AsyncGenerator<SourceItem, void, undefined> {
  for await (const item of store.subscribeToStream(stream, { after, signal })) {
    switch (item.kind) {
      case 'event':
        yield { kind: 'event', event: item.event, place: item.event.revision };
        break;
      case 'caughtUp':
        yield { kind: 'live' };
        break;
      case 'fellBehind':
        yield { kind: 'behind' };
        break;
      case 'deleted':
        return;
    }
  }
}
