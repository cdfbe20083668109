import { createHash } from 'node:crypto';
import { EngineError } from './errors';

/** In bytes of UTF-8, of a stream's own name. */
export const STREAM_NAME_BYTES_MAX = 4_096;
/** The same of names that begin with `$`: most of them are made of a stream's name and some more. */
export const SYSTEM_NAME_BYTES_MAX = STREAM_NAME_BYTES_MAX + 1_024;
/** Longer names are keys by their hash: a key of LMDB has 1,978 bytes at most. */
export const KEY_NAME_BYTES_MAX = 1_024;
/** Begins no name: it is no byte of UTF-8. */
const LONG_NAME = Buffer.from([0xff]);

/** Streams whose name begins so hold the settings of the stream named by the rest. */
export const METADATA_STREAM_PREFIX = '$$';
export const metadataStreamOf = (stream: string): string => METADATA_STREAM_PREFIX + stream;
export const isMetadataStream = (stream: string): boolean => stream.startsWith(METADATA_STREAM_PREFIX);

/** @throws EngineError `invalid` */
export function checkStreamName(stream: string): void {
  const objection = objectionToName(stream);
  if (objection !== undefined) throw new EngineError('invalid', objection);
}

/** Why no stream can have the name; undefined: one can. */
export function objectionToName(stream: string): string | undefined {
  // The name of the settings is as good as that of the stream that they are for.
  const name = isMetadataStream(stream) ? stream.slice(METADATA_STREAM_PREFIX.length) : stream;
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) return 'a stream name has at least one character';
  const limit = name.startsWith('$') ? SYSTEM_NAME_BYTES_MAX : STREAM_NAME_BYTES_MAX;
  if (bytes > limit) return `a stream name has at most ${limit} bytes, not ${bytes}`;
  return stream.isWellFormed() ? undefined : 'a stream name is well-formed Unicode';
}

/** Of UTF-16 units no more than of bytes: those that are not long by them need not be counted. */
export const isLongName = (stream: string): boolean =>
  stream.length * 3 > KEY_NAME_BYTES_MAX && Buffer.byteLength(stream) > KEY_NAME_BYTES_MAX;

/** What a stream's row is found by. */
export function streamKey(stream: string): Buffer {
  const name = Buffer.from(stream);
  if (name.length <= KEY_NAME_BYTES_MAX) return name;
  return Buffer.concat([LONG_NAME, createHash('sha256').update(name).digest()]);
}
