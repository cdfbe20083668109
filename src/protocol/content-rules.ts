import type { FieldError } from './errors';

/** What no schema can say about text (PROTOCOL.md section 2); undefined when all is well. */
export function textProblem(body: string, bytesMax: number): string | undefined {
  if (body.trim() === '') return 'must not be blank';
  if (body.includes('\u0000')) return 'must not contain U+0000';
  if (!body.isWellFormed()) return 'must not contain lone surrogates';
  // At most three bytes a UTF-16 unit: short text needs no counting.
  if (body.length * 3 > bytesMax && Buffer.byteLength(body) > bytesMax) {
    return `must be at most ${bytesMax} bytes of UTF-8`;
  }
  return undefined;
}

const isStorable = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();

/** Checks every string of a content that has already passed its schema. */
export function contentProblems(
  content: { readonly type: string } & Readonly<Record<string, unknown>>,
  bodyBytesMax: number,
): FieldError[] {
  const problems: FieldError[] = [];
  for (const [key, value] of Object.entries(content)) {
    if (!isStorable(key)) problems.push({ field: 'content', message: 'a field name is not storable text' });
    if (typeof value !== 'string') continue;
    const message =
      content.type === 'text' && key === 'body'
        ? textProblem(value, bodyBytesMax)
        : isStorable(value)
          ? undefined
          : 'must not contain U+0000 or lone surrogates';
    if (message !== undefined) problems.push({ field: `content.${key}`, message });
  }
  return problems;
}
