/** How U+0000 and lone surrogates look in JSON text; a match may also be an escaped backslash before a `u`. */
const SUSPICIOUS_ESCAPE = /\\u(?:0000|d[89a-f])/;

/**
 * Postgres' text refuses U+0000, and UTF-8 has no lone surrogates. Imported logs may hold both; a projection never
 * stops for them: each becomes U+FFFD.
 */
export const storableText = (text: string): string =>
  text.isWellFormed() && !text.includes('\0') ? text : text.toWellFormed().replaceAll('\0', '\uFFFD');

/** The same within any JSON value, keys included; as JSON text. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value);
  return SUSPICIOUS_ESCAPE.test(text) ? JSON.stringify(storable(value)) : text;
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(storable);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [storableText(key), storable(member)]),
  );
}
