/** Anything JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * One text for one value: keys sorted by UTF-16 code units, no white space, as RFC 8785 orders them. Hashes
 * are taken over this text, so that key order in a client's JSON never makes two contents out of one.
 */
export function canonicalJson(value: unknown): string {
  // Texts, numbers and what is in order already, as events are that are made that way: the engine writes them in one
  // go, which is several times faster than putting the text together here.
  if (value === undefined) return 'null';
  if (isInOrder(value)) return JSON.stringify(value);
  return canBeSorted(value) ? JSON.stringify(sorted(value)) : sortedText(value);
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function isInOrder(value: unknown): boolean {
  if (!isObject(value)) return true;
  if (Array.isArray(value)) return value.every(isInOrder);
  let before = '';
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    if (key < before || (isObject(member) && !isInOrder(member))) return false;
    before = key;
  }
  return true;
}

/** An object has members whose names are numbers before all others, and `__proto__` is none when it is set. */
function canBeSorted(value: unknown): boolean {
  if (!isObject(value)) return true;
  if (Array.isArray(value)) return value.every(canBeSorted);
  for (const key of Object.keys(value)) {
    const first = key.charCodeAt(0);
    if ((first >= DIGIT_0 && first <= DIGIT_9) || key === '__proto__') return false;
    const member = (value as Record<string, unknown>)[key];
    if (isObject(member) && !canBeSorted(member)) return false;
  }
  return true;
}

function sorted(value: unknown): unknown {
  if (!isObject(value)) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const copy: Record<string, unknown> = {};
  for (const key of sortedKeys(value)) copy[key] = sorted((value as Record<string, unknown>)[key]);
  return copy;
}

/** Objects of a message have a handful of keys: put in their places one by one, without what `sort` allocates. */
function sortedKeys(value: object): readonly string[] {
  const keys = Object.keys(value);
  if (keys.length > INSERTED_KEYS_MAX) return keys.sort();
  for (let n = 1; n < keys.length; n++) {
    const key = keys[n] as string;
    let place = n;
    for (; place > 0 && (keys[place - 1] as string) > key; place--) keys[place] = keys[place - 1] as string;
    keys[place] = key;
  }
  return keys;
}

/** The definition, for what {@link inOrder} cannot do. */
function sortedText(value: unknown): string {
  if (value === undefined) return 'null';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sortedText).join(',')}]`;
  const record = value as Record<string, unknown>;
  const members = Object.keys(record)
    .filter((key) => record[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${sortedText(record[key])}`);
  return `{${members.join(',')}}`;
}

const INSERTED_KEYS_MAX = 8;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
