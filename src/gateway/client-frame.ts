import type { Limits } from '../protocol/limits';
import type { FieldError } from '../protocol/errors';
import { FRAME_ID_LENGTH_MAX } from '../protocol/frames';

/** The bytes of one WebSocket message, looked at without regard to what its event means. */
export type ClientFrame =
  /** Close code 4001 (PROTOCOL.md section 3). */
  | { readonly kind: 'notAFrame' }
  /** A frame, but its envelope is wrong: answered by `error`. `id` only when it can be echoed. */
  | { readonly kind: 'malformed'; readonly id: string | undefined; readonly errors: readonly FieldError[] }
  | {
      readonly kind: 'frame';
      readonly event: string;
      readonly id: string | undefined;
      readonly data: object;
    };

const NOT_A_FRAME: ClientFrame = { kind: 'notAFrame' };
const NO_DATA: object = Object.freeze({});
const FIELD_LENGTH_MAX = 128;

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** undefined: no JSON. */
function parseJson(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The bytes of a text message (valid UTF-8, as `ws` has checked) as a frame. `JSON.parse` makes own properties
 * of `__proto__` and its like, and keeps the last of duplicate keys; both are then refused or checked as any
 * other field.
 */
export function parseClientFrame(raw: Buffer, limits: Limits): ClientFrame {
  const isLarge = raw.length > limits.frameBytesMax;
  // Only `sync` may be large: whatever does not even contain its name is not worth the parsing.
  if (isLarge && (raw.length > limits.syncFrameBytesMax || !raw.includes('"sync"'))) return NOT_A_FRAME;
  const value = parseJson(raw);
  if (!isObject(value)) return NOT_A_FRAME;
  const { event, id, data } = value as { event?: unknown; id?: unknown; data?: unknown };
  if (typeof event !== 'string' || (isLarge && event !== 'sync')) return NOT_A_FRAME;
  const errors: FieldError[] = [];
  const isIdFit = id === undefined || (typeof id === 'string' && id.length <= FRAME_ID_LENGTH_MAX);
  if (!isIdFit) {
    errors.push({ field: 'id', message: `must be a string of at most ${FRAME_ID_LENGTH_MAX} characters` });
  }
  if (data !== undefined && !isObject(data)) errors.push({ field: 'data', message: 'must be an object' });
  for (const key of Object.keys(value)) {
    if (key === 'event' || key === 'id' || key === 'data') continue;
    errors.push({ field: key.slice(0, FIELD_LENGTH_MAX), message: 'unknown field' });
    break;
  }
  const echoed = isIdFit ? id : undefined;
  return errors.length > 0
    ? { kind: 'malformed', id: echoed, errors }
    : { kind: 'frame', event, id: echoed, data: isObject(data) ? data : NO_DATA };
}
