import { storableJson, storableText } from '../storable';
import { arrayLiteral, copyFields } from './column-text';

const id = '0190a5c0-0000-7000-8000-000000000000';

describe('arrayLiteral', () => {
  it('writes each type as Postgres reads it', () => {
    expect(arrayLiteral('uuid', [id, id])).toBe(`{${id},${id}}`);
    expect(arrayLiteral('bigint?', [1, null, -1, undefined])).toBe('{1,NULL,-1,NULL}');
    expect(arrayLiteral('boolean', [true, false])).toBe('{t,f}');
    expect(arrayLiteral('text', ['', 'NULL', 'a"b\\c', '{,}'])).toBe('{"","NULL","a\\"b\\\\c","{,}"}');
    expect(arrayLiteral('jsonb', [{ a: 'x"y' }])).toBe('{"{\\"a\\":\\"x\\\\\\"y\\"}"}');
    expect(arrayLiteral('text', [])).toBe('{}');
  });

  it.each([
    ['uuid', `${id},${id}`],
    ['uuid', 'x'],
    ['uuid', null],
    ['bigint', 1.5],
    ['bigint', NaN],
    ['bigint', 2 ** 53],
    ['bigint', '1'],
    ['integer', undefined],
    ['boolean', 'true'],
    ['text', 7],
  ] as const)('refuses for %s: %p', (type, value) => {
    expect(() => arrayLiteral(type, [value])).toThrow(TypeError);
  });
});

describe('copyFields', () => {
  it('writes each type as COPY reads it', () => {
    expect(copyFields('uuid')(id)).toBe(id);
    expect(copyFields('bigint?')(null)).toBe('\\N');
    expect(copyFields('bigint?')(-1)).toBe('-1');
    expect(copyFields('boolean')(false)).toBe('f');
    expect(copyFields('text')('a\tb\nc\rd\\e')).toBe('a\\tb\\nc\\rd\\\\e');
    expect(copyFields('text')('\\N')).toBe('\\\\N');
    expect(copyFields('jsonb')({ a: 'x\n' })).toBe('{"a":"x\\\\n"}');
  });

  it.each([
    ['uuid', `${id}\t`],
    ['bigint', null],
    ['text', 7],
  ] as const)('refuses for %s: %p', (type, value) => {
    expect(() => copyFields(type)(value)).toThrow(TypeError);
  });
});

describe('what Postgres cannot store', () => {
  it('becomes a replacement character in text', () => {
    expect(storableText('a\0b\ud800c😀')).toBe('a\uFFFDb\uFFFDc😀');
  });

  it('becomes a replacement character anywhere in JSON, and nothing else changes', () => {
    const value = { 'k\0': ['\udc00', { n: 1, t: 'plain', z: null }], escaped: '\\u0000', emoji: '😀' };
    expect(JSON.parse(storableJson(value))).toEqual({
      'k\uFFFD': ['\uFFFD', { n: 1, t: 'plain', z: null }],
      escaped: '\\u0000',
      emoji: '😀',
    });
  });
});
