import { applyDecorators, HttpCode, Header } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiOperation,
  ApiProduces,
  ApiQuery,
  ApiResponse,
  ApiHeader,
} from '@nestjs/swagger';
import type { TObject, TSchema } from '@sinclair/typebox';
import { ERRORS, type ErrorCode } from '../protocol/errors';
import { REST_SCHEMAS } from '../protocol/rest';
import { PROBLEM_CONTENT_TYPE } from './problem.filter';

export interface RouteDescription {
  readonly summary: string;
  readonly body?: TSchema;
  /** No body at all is taken for `{}`. */
  readonly bodyOptional?: boolean;
  readonly query?: TObject;
  /** Request header → what it is for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Status → body. A handler that sets no status answers with the lowest. `empty`: no body. */
  readonly answers: Readonly<Record<number, TSchema | 'empty'>>;
  /** What else may come back, beside what every route may answer. */
  readonly refusals?: readonly ErrorCode[];
  /** Needs no access token. */
  readonly open?: boolean;
}

/** Any request may be malformed, may meet a store that is down, or a bug. */
const ANYWHERE: readonly ErrorCode[] = ['invalid_input', 'internal', 'unavailable'];

const names = new Map<TSchema, string>(
  Object.entries(REST_SCHEMAS).map(([name, schema]) => [schema as TSchema, name]),
);

/** Schemas are named once, in the components; a body without a name would be a contract nobody can refer to. */
function reference(schema: TSchema): { $ref: string } {
  const name = names.get(schema);
  if (name === undefined) throw new Error(`not in REST_SCHEMAS: ${JSON.stringify(schema).slice(0, 80)}`);
  return { $ref: `#/components/schemas/${name}` };
}

/** OpenAPI's words for a route, and its status: one place says both, so they cannot disagree. */
export function Describe(route: RouteDescription): MethodDecorator {
  const statuses = Object.keys(route.answers).map(Number);
  const usual = statuses[0];
  if (usual === undefined) throw new Error('a route needs an answer');
  return applyDecorators(
    ApiOperation({ summary: route.summary }),
    HttpCode(usual),
    Header('Cache-Control', 'no-store'),
    ...(route.open === true ? [] : [ApiBearerAuth()]),
    ...(route.body === undefined
      ? []
      : [ApiBody({ schema: reference(route.body), required: route.bodyOptional !== true })]),
    ...queryParameters(route.query),
    ...Object.entries(route.headers ?? {}).map(([name, description]) =>
      ApiHeader({ name, description, required: false }),
    ),
    ...statuses.map((status) => answer(status, route.answers[status] ?? 'empty')),
    ...problems(route),
    ApiProduces('application/json'),
  );
}

function answer(status: number, body: TSchema | 'empty'): MethodDecorator {
  if (body === 'empty') return ApiResponse({ status, description: 'Done' });
  return ApiResponse({
    status,
    description: names.get(body) ?? '',
    content: { 'application/json': { schema: reference(body) } },
  });
}

function problems(route: RouteDescription): MethodDecorator[] {
  const codes = [
    ...ANYWHERE,
    ...(route.open === true ? [] : (['unauthenticated'] as const)),
    ...(route.body === undefined ? [] : (['too_large'] as const)),
    ...(route.refusals ?? []),
  ];
  const byStatus = new Map<number, Set<ErrorCode>>();
  for (const code of codes) {
    const { status } = ERRORS[code];
    // One that is an answer, too (a readiness of 503), is described as that.
    if (route.answers[status] !== undefined) continue;
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  }
  return Array.from(byStatus, ([status, sharing]) =>
    ApiResponse({
      status,
      description: Array.from(sharing, (code) => `\`${code}\``).join(', '),
      content: { [PROBLEM_CONTENT_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    }),
  );
}

function queryParameters(query: TObject | undefined): MethodDecorator[] {
  const required = new Set(query?.required);
  return Object.entries(query?.properties ?? {}).map(([name, schema]) =>
    ApiQuery({ name, required: required.has(name), schema: JSON.parse(JSON.stringify(schema)) as object }),
  );
}
