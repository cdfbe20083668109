import fc from 'fast-check';

/** As much of JSON Schema as the protocol's own schemas use. */
export interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly $ref?: string;
}

export interface Vocabulary {
  /** Ids that mean something to the server, beside ones that do not. */
  readonly ids: readonly string[];
  readonly resolve?: (reference: string) => Schema;
}

/** Values that programs trip over, whatever they were meant for. */
const NASTY: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  -(2 ** 63),
  1e308,
  '',
  ' ',
  '0',
  '007',
  '-1',
  'null',
  '\u0000',
  '\ud800',
  '\udc00\ud800',
  '\u202e',
  '😀'.repeat(50),
  'x'.repeat(5_000),
  '__proto__',
  'constructor',
  '../../etc/passwd',
  "'; DROP TABLE users; --",
  '%s%n',
  [],
  {},
  [[[[[[]]]]]],
  { toString: 1 },
  { length: 1e9 },
];
const NASTY_KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  '',
  '\u0000',
  'data',
  'id',
  'x'.repeat(300),
];

/** Values that a schema allows. */
export function valid(schema: Schema, words: Vocabulary): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined && words.resolve !== undefined)
    return valid(words.resolve(schema.$ref), words);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((one) => valid(one, words)));
  switch (schema.type) {
    case 'object':
      return validObject(schema, words);
    case 'array':
      return fc.array(valid(schema.items ?? {}, words), { maxLength: Math.min(schema.maxItems ?? 3, 3) });
    case 'string':
      return validText(schema, words);
    case 'integer':
    case 'number':
      return fc.oneof(
        fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 5, 5) }),
        fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? 2 ** 53 - 1),
      );
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case undefined:
    default:
      return fc.constantFrom(...NASTY);
  }
}

function validObject(schema: Schema, words: Vocabulary): fc.Arbitrary<unknown> {
  const [values] = Object.values(schema.patternProperties ?? {});
  if (values !== undefined) {
    return fc.dictionary(fc.constantFrom(...words.ids), valid(values, words), { maxKeys: 3 });
  }
  const properties = Object.entries(schema.properties ?? {}).map(([name, one]) => [name, valid(one, words)]);
  const requiredKeys = [...(schema.required ?? [])] as never[];
  return fc.record(Object.fromEntries(properties) as Record<string, fc.Arbitrary<unknown>>, { requiredKeys });
}

function validText(
  { pattern, minLength = 0, maxLength = 100 }: Schema,
  { ids }: Vocabulary,
): fc.Arbitrary<string> {
  if (pattern?.includes('[0-9a-f]{8}') === true) return fc.constantFrom(...ids);
  if (pattern !== undefined) return fc.constantFrom('a', 'key-1', 'phone_2', 'Z'.repeat(32));
  return fc.string({ minLength, maxLength: Math.min(maxLength, 60), unit: 'binary' });
}

/** The value, or what is left of it after somebody tampered with up to four places of it. */
export const tampered = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(value, fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom(...NASTY)), { maxLength: 4 }))
    .map(([whole, changes]) =>
      changes.reduce<unknown>((now, [where, how, what]) => changeOne(now, where, how, what), whole),
    );

function changeOne(value: unknown, where: number, how: number, what: unknown): unknown {
  if (typeof value !== 'object' || value === null) return what;
  const copy: unknown = structuredClone(value);
  const places = placesOf(copy);
  const place = places[where % places.length];
  if (place === undefined) return { ...(copy as object), [NASTY_KEYS[how % NASTY_KEYS.length] ?? '']: what };
  const { holder, key } = place;
  if (how % 4 === 0) Reflect.deleteProperty(holder, key);
  else if (how % 4 === 1) define(holder, NASTY_KEYS[how % NASTY_KEYS.length] ?? '', what);
  else define(holder, key, what);
  return copy;
}

/** By definition and not by assignment: `__proto__` is to arrive as a key. */
const define = (holder: object, key: string, value: unknown): void => {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
};

function placesOf(value: unknown, found: { holder: object; key: string }[] = []): typeof found {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return found;
  for (const [key, member] of Object.entries(value)) {
    found.push({ holder: value, key });
    placesOf(member, found);
  }
  return found;
}

/** Text with bytes turned over, left out or repeated; mostly none. */
export const garbled = (text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      text,
      fc.oneof(
        { weight: 4, arbitrary: fc.constant([]) },
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      ),
    )
    .map(([whole, changes]) => {
      const bytes = Buffer.from(whole);
      for (const [where, byte] of changes) if (bytes.length > 0) bytes[where % bytes.length] = byte;
      return bytes;
    });
