import { setFlagsFromString } from 'node:v8';
import { EngineError } from './errors';
import type { RecordedEvent } from './record';

// Makes V8's second engine for regular expressions available, under the flag `l`. Expressions come from
// whoever
// may read: the usual engine, which tries one way after another, could be kept busy by one of them for years.
setFlagsFromString('--enable-experimental-regexp-engine');

export const FILTER_PREFIXES_MAX = 1_000;
export const FILTER_REGEX_LENGTH_MAX = 1_024;

/**
 * At most one of the four. Prefixes are compared by code unit; a regular expression is searched for, as
 * written.
 */
export interface EventFilter {
  readonly streamPrefixes?: readonly string[];
  readonly eventTypePrefixes?: readonly string[];
  readonly streamRegex?: string;
  readonly eventTypeRegex?: string;
}

export type EventPredicate = (event: RecordedEvent) => boolean;

/** @throws EngineError `invalid`: more than one condition, too many or too long, or a broken expression */
export function compileFilter(filter: EventFilter | undefined): EventPredicate {
  if (filter === undefined) return () => true;
  const { streamPrefixes, eventTypePrefixes, streamRegex, eventTypeRegex } = filter;
  const given = [streamPrefixes, eventTypePrefixes, streamRegex, eventTypeRegex];
  if (given.filter((condition) => condition !== undefined).length > 1) {
    throw new EngineError('invalid', 'a filter has one condition: on streams or on event types');
  }
  if (streamPrefixes !== undefined) {
    const matches = matchPrefixes(streamPrefixes);
    return ({ stream }) => matches(stream);
  }
  if (eventTypePrefixes !== undefined) {
    const matches = matchPrefixes(eventTypePrefixes);
    return ({ type }) => matches(type);
  }
  if (streamRegex !== undefined) {
    const pattern = compile(streamRegex);
    return ({ stream }) => pattern.test(stream);
  }
  if (eventTypeRegex !== undefined) {
    const pattern = compile(eventTypeRegex);
    return ({ type }) => pattern.test(type);
  }
  return () => true;
}

function matchPrefixes(prefixes: readonly string[]): (text: string) => boolean {
  if (prefixes.length > FILTER_PREFIXES_MAX) {
    throw new EngineError('invalid', `a filter has at most ${FILTER_PREFIXES_MAX} prefixes`);
  }
  return (text) => prefixes.some((prefix) => text.startsWith(prefix));
}

function compile(source: string): RegExp {
  if (source.length > FILTER_REGEX_LENGTH_MAX) {
    throw new EngineError(
      'invalid',
      `a filter's expression has at most ${FILTER_REGEX_LENGTH_MAX} characters`,
    );
  }
  try {
    // Matches in time proportional to the text, and refuses what it cannot: look-around, back references and
    // large counts.
    return new RegExp(source, 'l');
  } catch (error) {
    throw new EngineError('invalid', `not an expression this store takes: ${JSON.stringify(source)}`, {
      cause: error,
    });
  }
}
