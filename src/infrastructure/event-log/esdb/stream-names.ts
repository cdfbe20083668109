import type { LogEvent, LogFilter } from '../../../application/ports/event-log';

/** Streams whose names begin so hold the settings of the stream named by the rest. */
const METADATA_PREFIX = '$$';
/** Ends the prefix. The word before it has none, so that no installation's prefix begins with another's. */
const SEPARATOR = '.';
const WORD = /^[A-Za-z0-9_-]{1,64}$/;

/** What the server filters by, and what is left to look at here: it takes one kind of filter at a time. */
interface ServerFilter {
  readonly filter: LogFilter | undefined;
  readonly passes: (event: LogEvent) => boolean;
}

const everything = (): boolean => true;

/**
 * Names of streams here and on the server. With a prefix several installations share one server, and each sees its
 * own streams alone, by the names it gave them.
 */
export class StreamNames {
  private readonly prefix: string;

  /** @throws RangeError when the word has other characters, or more of them, than a prefix may have */
  constructor(word?: string) {
    if (word !== undefined && !WORD.test(word)) throw new RangeError(`not a stream prefix: ${word}`);
    this.prefix = word === undefined ? '' : word + SEPARATOR;
  }

  onServer(stream: string): string {
    return stream.startsWith(METADATA_PREFIX)
      ? METADATA_PREFIX + this.prefix + stream.slice(METADATA_PREFIX.length)
      : this.prefix + stream;
  }

  /** Of an event that a filter or the read of a stream let through. */
  here(name: string): string {
    return name.startsWith(METADATA_PREFIX)
      ? METADATA_PREFIX + name.slice(METADATA_PREFIX.length + this.prefix.length)
      : name.slice(this.prefix.length);
  }

  filterOnServer(filter: LogFilter | undefined): ServerFilter {
    if (this.prefix === '') return { filter, passes: everything };
    if (filter?.streamPrefixes !== undefined) {
      const streamPrefixes = filter.streamPrefixes.map((name) => this.onServer(name));
      return { filter: { streamPrefixes }, passes: everything };
    }
    const types = filter?.eventTypePrefixes;
    return {
      filter: { streamPrefixes: [this.prefix] },
      passes: types === undefined ? everything : ({ type }) => types.some((start) => type.startsWith(start)),
    };
  }
}
