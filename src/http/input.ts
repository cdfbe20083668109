import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { TObject, TSchema } from '@sinclair/typebox';
import { contentProblems } from '../protocol/content-rules';
import type { FieldError } from '../protocol/errors';
import { PATH_PARAMETERS } from '../protocol/rest';
import type { ContentInputDto } from '../protocol/schemas';
import { compile, type Validator } from '../protocol/validation';
import { invalidInput, notFound } from './problem-exception';
import { requestOf } from './request';

/** Plain decimal, as JSON writes a natural number: no sign, no leading zero, no exponent. */
const DECIMAL = /^(0|[1-9][0-9]{0,15})$/;
const NOT_STORABLE = 'must not contain U+0000 or lone surrogates';

/** The validated body. `optional`: no body at all counts as `{}`. */
export function Body(schema: TSchema, options: { readonly optional?: boolean } = {}): ParameterDecorator {
  const validator = compile(schema);
  return createParamDecorator((_data: unknown, context: ExecutionContext): unknown => {
    const { body } = requestOf(context);
    return checked(validator, options.optional === true ? (body ?? {}) : body);
  })();
}

/** The validated query: every parameter at most once, none that is not named, numbers in plain decimal. */
export function Query(schema: TObject): ParameterDecorator {
  const validator = compile(schema);
  const numeric = new Set(
    Object.entries(schema.properties)
      .filter(([, property]) => property['type'] === 'integer')
      .map(([name]) => name),
  );
  return createParamDecorator((_data: unknown, context: ExecutionContext): unknown =>
    checked(validator, readQuery(requestOf(context).query, numeric)),
  )();
}

function readQuery(
  query: Readonly<Record<string, unknown>>,
  numeric: ReadonlySet<string>,
): Record<string, unknown> {
  const read: [string, unknown][] = [];
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== 'string') throw invalidInput({ field: shown(name), message: 'must be given once' });
    if (numeric.has(name) && !DECIMAL.test(value)) {
      throw invalidInput({ field: name, message: 'must be a natural number in plain decimal' });
    }
    read.push([name, numeric.has(name) ? Number(value) : value]);
  }
  // From entries and not by assignment: `__proto__` stays a name like any other, and is refused as unknown.
  return Object.fromEntries(read);
}

/** A path's UUID or device id. Anything that cannot be one is not there: `not_found`. */
export function PathId(name: 'id' | 'userId' | 'deviceId'): ParameterDecorator {
  const validator = pathValidator(name);
  return createParamDecorator((_data: unknown, context: ExecutionContext): string => {
    const value = requestOf(context).params[name];
    if (!validator.check(value)) throw notFound();
    return value as string;
  })();
}

/** The place of a message in its conversation, from the path. */
export const PathSeq = createParamDecorator((_data: unknown, context: ExecutionContext): number => {
  const value = requestOf(context).params['seq'] ?? '';
  if (!DECIMAL.test(value) || !Number.isSafeInteger(Number(value))) {
    throw invalidInput({ field: 'seq', message: 'must be a natural number in plain decimal' });
  }
  return Number(value);
});

const emojiValidator = pathValidator('emoji');

/** The emoji of a reaction, from the path; the router has percent-decoded it. */
export const PathEmoji = createParamDecorator((_data: unknown, context: ExecutionContext): string => {
  const value = requestOf(context).params['emoji'] ?? '';
  const errors = emojiValidator.check(value) ? storageProblems(value) : emojiValidator.errors(value);
  if (errors.length > 0)
    throw invalidInput({ field: 'emoji', message: errors[0]?.message ?? 'is not valid' });
  return value;
});

/**
 * What neither schema nor storage can hold against a message's content.
 * @throws ProblemException `invalid_input`
 */
export function refuseBadContent(content: ContentInputDto, bodyBytesMax: number): void {
  const problems = contentProblems(content, bodyBytesMax);
  if (problems.length > 0) throw invalidInput(...problems);
}

function pathValidator(name: string): Validator<TSchema> {
  const schema = PATH_PARAMETERS[name];
  if (schema === undefined) throw new Error(`no path parameter is called ${name}`);
  return compile(schema);
}

function checked(validator: Validator<TSchema>, value: unknown): unknown {
  if (!validator.check(value)) {
    const errors = validator.errors(value);
    throw invalidInput(...(errors.length > 0 ? errors : [{ field: '', message: 'is not valid' }]));
  }
  const problems = storageProblems(value);
  if (problems.length > 0) throw invalidInput(...problems);
  return value;
}

/**
 * Postgres' `text` refuses U+0000 and `jsonb` lone surrogates: both end here, whatever field they are in. A walk
 * with a stack of its own, because a body may be nested deeper than calls may be.
 */
function storageProblems(value: unknown): FieldError[] {
  const waiting: { readonly field: string; readonly value: unknown }[] = [{ field: '', value }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next.value === 'string') {
      if (!isStorable(next.value)) return [{ field: next.field, message: NOT_STORABLE }];
    } else if (typeof next.value === 'object' && next.value !== null) {
      for (const [key, member] of Object.entries(next.value)) {
        const field = shown(next.field === '' ? key : `${next.field}.${key}`);
        if (!isStorable(key)) return [{ field: next.field, message: `a field name ${NOT_STORABLE}` }];
        waiting.push({ field, value: member });
      }
    }
  }
  return [];
}

const isStorable = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();
const shown = (field: string): string => field.slice(0, 128);
