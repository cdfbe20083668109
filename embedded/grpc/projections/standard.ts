import type { RecordedEvent } from '../../engine/record';
import { objectionToName } from '../../engine/stream-name';
import { LINK_TYPE } from '../links';
import type { Handler, Output } from './definition';

const STREAM_REFERENCE_TYPE = '$@';
const CATEGORY_ENDS = '-';

type Links = (event: RecordedEvent) => readonly Output[];

const linkTo = (stream: string, event: RecordedEvent): Output => ({
  stream,
  type: LINK_TYPE,
  isJson: false,
  // What stands for another event is passed on as what it stands for: links are followed one step only.
  data: event.type === LINK_TYPE ? event.data.toString('utf8') : `${event.revision}@${event.stream}`,
});

/** What comes before the first dash of a stream's name. */
function categoryOf(stream: string): string | undefined {
  const end = stream.indexOf(CATEGORY_ENDS);
  return end > 0 ? stream.slice(0, end) : undefined;
}

const byCategory: Links = (event) => {
  const category = categoryOf(event.stream);
  return category === undefined ? [] : [linkTo(`$ce-${category}`, event)];
};

const byEventType: Links = (event) => (event.type === LINK_TYPE ? [] : [linkTo(`$et-${event.type}`, event)]);

const streams: Links = (event) => (event.revision === 0 ? [linkTo('$streams', event)] : []);

const streamsByCategory: Links = ({ stream, revision }) => {
  const category = categoryOf(stream);
  if (revision !== 0 || category === undefined) return [];
  return [{ stream: `$category-${category}`, type: STREAM_REFERENCE_TYPE, isJson: false, data: stream }];
};

const byCorrelation: Links = (event) => {
  const { metadataJson } = event;
  if (typeof metadataJson !== 'object' || metadataJson === null) return [];
  const id = (metadataJson as Readonly<Record<string, unknown>>)['$correlationId'];
  return typeof id === 'string' && id !== '' ? [linkTo(`$bc-${id}`, event)] : [];
};

/** Those that every EventStoreDB has from its first start on, not running. */
export const STANDARD: Readonly<Record<string, Links>> = {
  $by_category: byCategory,
  $by_event_type: byEventType,
  $by_correlation_id: byCorrelation,
  $streams: streams,
  $stream_by_category: streamsByCategory,
};

/** Nobody's correlation id may stop the links of all others. */
const isWritable = ({ stream }: Output): boolean => objectionToName(stream) === undefined;

export function standardHandler(name: string): Handler | undefined {
  const links = Object.hasOwn(STANDARD, name) ? STANDARD[name] : undefined;
  if (links === undefined) return undefined;
  return {
    handle: async (events) => {
      const outputs = events.map((event) => ({ event, made: links(event).filter(isWritable) }));
      return Promise.resolve({ outputs, fault: undefined });
    },
    states: async () => Promise.resolve('{}'),
    stateOf: async () => Promise.resolve(undefined),
    close: async () => Promise.resolve(),
  };
}
