import { invalidInput } from './problem-exception';

/** As a client message id is written; the quotes of a structured field string (RFC 8941) may stand around it. */
const KEY = /^(?:"([A-Za-z0-9_-]{1,64})"|([A-Za-z0-9_-]{1,64}))$/;

/** The key of an `Idempotency-Key` header; undefined without one. @throws ProblemException `invalid_input` */
export function idempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const match = KEY.exec(header);
  if (match === null) {
    throw invalidInput({ field: 'Idempotency-Key', message: 'must be 1..64 of A-Z, a-z, 0-9, _ and -' });
  }
  return match[1] ?? match[2];
}
