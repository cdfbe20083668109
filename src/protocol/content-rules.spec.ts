import fc from 'fast-check';
import { contentProblems, textProblem } from './content-rules';

const LIMIT = 16_384;

describe('text of a message', () => {
  it.each([
    ['empty', '', 'must not be blank'],
    ['spaces and line ends', ' \n\t\u00a0\u2003', 'must not be blank'],
    ['U+0000', 'a\u0000b', 'must not contain U+0000'],
    ['a lone high surrogate', 'a\ud83d', 'must not contain lone surrogates'],
    ['a lone low surrogate', '\ude00a', 'must not contain lone surrogates'],
    ['one byte over the limit', 'x'.repeat(LIMIT + 1), `must be at most ${LIMIT} bytes of UTF-8`],
    ['one emoji over the limit', '😀'.repeat(LIMIT / 4) + '!', `must be at most ${LIMIT} bytes of UTF-8`],
  ])('refuses %s', (_name, body, message) => {
    expect(textProblem(body, LIMIT)).toBe(message);
  });

  it.each([
    ['exactly the limit', 'x'.repeat(LIMIT)],
    ['emoji exactly at the limit', '😀'.repeat(LIMIT / 4)],
    ['right-to-left override and zero-width characters', '\u202eabc\u200b'],
    ['ten thousand combining marks', `a${'\u0301'.repeat(8_000)}`],
    ['markup, SQL and format strings', `<script>'; DROP TABLE users; -- %s %n \${x}`],
  ])('takes %s as it is', (_name, body) => {
    expect(textProblem(body, LIMIT)).toBeUndefined();
  });

  it('counts bytes of UTF-8, whatever the characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), fc.nat(60), (body, limit) => {
        fc.pre(body.trim() !== '' && body.isWellFormed() && !body.includes('\u0000'));
        expect(textProblem(body, limit) === undefined).toBe(Buffer.byteLength(body) <= limit);
      }),
    );
  });
});

describe('contents', () => {
  it('names the field at fault', () => {
    expect(contentProblems({ type: 'text', body: ' ' }, LIMIT)).toEqual([
      { field: 'content.body', message: 'must not be blank' },
    ]);
    expect(contentProblems({ type: 'file', name: 'a\u0000' }, LIMIT)).toEqual([
      { field: 'content.name', message: 'must not contain U+0000 or lone surrogates' },
    ]);
  });

  it('looks at the names of free fields, too', () => {
    const content = { type: 'encrypted', ciphertext: 'x', scheme: 'y', 'k\ud800': 1 };
    expect(contentProblems(content, LIMIT)).toHaveLength(1);
  });
});
