import { v5, v7 } from 'uuid';
import type { Millis } from './ids';

const V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** A new UUIDv7 (RFC 9562): sorts by the time of its making. */
export const uuidv7 = (): string => v7();

/** The UUIDv5 (RFC 9562) of `name` under `namespace`: the same two always give the same id. */
export const uuidv5 = (name: string, namespace: string): string => v5(name, namespace);

/** The birth time that a UUIDv7 carries; undefined for any other text. */
export function birthOf(id: string): Millis | undefined {
  const match = V7.exec(id);
  return match === null ? undefined : (parseInt(`${match[1] ?? ''}${match[2] ?? ''}`, 16) as Millis);
}
