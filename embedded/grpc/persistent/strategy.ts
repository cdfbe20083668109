import { crc32 } from 'node:zlib';
import { LINK_TYPE, originalOf } from '../links';
import type { Consumer } from './consumer';
import type { Message } from './messages';
import type { Strategy } from './settings';

/**
 * Chooses who gets a message, among consumers in the order in which they came.
 * `undefined`: the one it is meant for has no room, and others may have some for the next message.
 */
export type Choose = (message: Message, consumers: readonly Consumer[]) => Consumer | undefined;

export function strategyOf(name: Strategy): Choose {
  switch (name) {
    case 'RoundRobin':
      return roundRobin();
    case 'DispatchToSingle':
      return (_message, consumers) => consumers.find((consumer) => consumer.hasRoom);
    case 'Pinned':
      return (message, consumers) => pinned(sourceOf(message), consumers);
    case 'PinnedByCorrelation':
      return (message, consumers) => pinned(correlationOf(message) ?? sourceOf(message), consumers);
  }
}

function roundRobin(): Choose {
  let last: Consumer | undefined;
  return (_message, consumers) => {
    const after = last === undefined ? 0 : consumers.indexOf(last) + 1;
    const inTurn = [...consumers.slice(after), ...consumers.slice(0, after)];
    const chosen = inTurn.find((consumer) => consumer.hasRoom);
    if (chosen !== undefined) last = chosen;
    return chosen;
  };
}

/** The same consumer for the same key, as long as it is there; when one goes, only its keys move. */
function pinned(key: string, consumers: readonly Consumer[]): Consumer | undefined {
  let best: Consumer | undefined;
  let most = -1;
  for (const consumer of consumers) {
    const weight = crc32(`${key}\n${consumer.id}`);
    if (weight > most) [best, most] = [consumer, weight];
  }
  return best?.hasRoom === true ? best : undefined;
}

/** The stream a message is about: a link is about the stream it leads to. */
function sourceOf({ resolved }: Message): string {
  const original = originalOf(resolved);
  if (original.type !== LINK_TYPE) return original.stream;
  const data = original.data.toString('utf8');
  return data.slice(data.indexOf('@') + 1);
}

function correlationOf({ resolved }: Message): string | undefined {
  const metadata: unknown = (resolved.event ?? originalOf(resolved)).metadataJson;
  if (typeof metadata !== 'object' || metadata === null || !('$correlationId' in metadata)) return undefined;
  const { $correlationId: correlation } = metadata;
  return typeof correlation === 'string' ? correlation : undefined;
}
