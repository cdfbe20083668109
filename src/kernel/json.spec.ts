import * as fc from 'fast-check';
import { canonicalJson } from './json';

/** RFC 8785, section 3.2.3, said once more in the plainest way: what the fast one must equal. */
function reference(value: unknown): string {
  if (value === undefined || value === null) return 'null';
  if (typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(reference).join(',')}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const byKey = members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${byKey.map(([key, member]) => `${JSON.stringify(key)}:${reference(member)}`).join(',')}}`;
}

describe('canonicalJson', () => {
  it.each<readonly [string, unknown, string]>([
    ['sorts members', { b: 1, a: 2 }, '{"a":2,"b":1}'],
    ['sorts at every depth', { a: [{ d: 1, c: 2 }] }, '{"a":[{"c":2,"d":1}]}'],
    ['leaves out what is undefined', { b: undefined, a: 1 }, '{"a":1}'],
    ['has null for nothing in an array', [undefined, null], '[null,null]'],
    ['has null for nothing at all', undefined, 'null'],
    ['sorts names that are numbers as texts', { 9: 1, 10: 2, a: 3 }, '{"10":2,"9":1,"a":3}'],
    ['sorts them below others, too', { a: { b: { 9: 1, 10: 2 } } }, '{"a":{"b":{"10":2,"9":1}}}'],
    ['keeps __proto__', JSON.parse('{"b":1,"__proto__":{"c":1}}'), '{"__proto__":{"c":1},"b":1}'],
    ['sorts by code units', { '\u{1f600}': 1, '\ufb33': 2 }, '{"\u{1f600}":1,"\ufb33":2}'],
    ['keeps the empty name', { a: 1, '': 2 }, '{"":2,"a":1}'],
  ])('%s', (_what, value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it('equals its definition for anything that JSON can say, and changes nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, noUnicodeString: false }), (value) => {
        const before = JSON.stringify(value);
        expect(canonicalJson(value)).toBe(reference(value));
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });

  it('does not depend on the order of members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), (record) => {
        const backwards = Object.fromEntries(Object.entries(record).reverse());
        expect(canonicalJson(backwards)).toBe(canonicalJson(record));
      }),
    );
  });
});
