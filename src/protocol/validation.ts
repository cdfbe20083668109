import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { FieldError } from './errors';

const FIELD_ERRORS_MAX = 8;

/** A schema compiled once: checking costs a straight line of comparisons. */
export interface Validator<T extends TSchema> {
  check(value: unknown): value is Static<T>;
  /** What is wrong, by field; at most FIELD_ERRORS_MAX entries, empty when nothing is. */
  errors(value: unknown): FieldError[];
}

export function compile<T extends TSchema>(schema: T): Validator<T> {
  const compiled = TypeCompiler.Compile(schema);
  return {
    check: (value): value is Static<T> => compiled.Check(value),
    errors: (value) => {
      const found = new Map<string, string>();
      for (const error of compiled.Errors(value)) {
        const field = error.path.slice(1).replaceAll('/', '.').slice(0, 128);
        if (!found.has(field)) found.set(field, error.message);
        if (found.size >= FIELD_ERRORS_MAX) break;
      }
      return Array.from(found, ([field, message]) => ({ field, message }));
    },
  };
}
