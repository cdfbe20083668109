import { Test } from '@nestjs/testing';
import type { OpenAPIObject } from '@nestjs/swagger';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import { asyncApiDocument, type AsyncApiDocument } from '../../src/http/asyncapi';
import { HttpModule } from '../../src/http/http.module';
import { openApiDocument } from '../../src/http/openapi';

/** Unknown keywords are OpenAPI's and AsyncAPI's own: they say nothing about a value. */
const ajv = () => new Ajv2020({ strict: false, allErrors: true });

/** Frames against the AsyncAPI document. */
export class FrameContract {
  private readonly validators = new Map<string, ValidateFunction>();

  constructor(document: AsyncApiDocument) {
    const compiler = ajv();
    for (const [key, { payload }] of Object.entries(document.components.messages)) {
      this.validators.set(key, compiler.compile(payload));
    }
  }

  /** @throws Error when no server frame of the document looks like this one */
  validateServerFrame(frame: unknown): void {
    this.validate('server', frame);
  }

  /** @throws Error when no client frame of the document looks like this one */
  validateClientFrame(frame: unknown): void {
    this.validate('client', frame);
  }

  private validate(from: 'client' | 'server', frame: unknown): void {
    const name = (frame as { event?: unknown } | null)?.event;
    const validator = this.validators.get(`${from}.${String(name)}`);
    if (validator === undefined) throw new Error(`not in the contract: ${shown(frame)}`);
    if (!validator(frame)) throw new Error(`against the contract: ${shown(frame)}: ${reasons(validator)}`);
  }
}

interface Operation {
  readonly responses?: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>;
}

/** Bodies against the OpenAPI document. */
export class RestContract {
  private readonly compiler = ajv();
  private readonly paths: readonly { readonly pattern: RegExp; readonly item: Record<string, Operation> }[];

  constructor(document: OpenAPIObject) {
    this.compiler.addSchema({ $id: 'openapi', components: document.components });
    this.paths = Object.entries(document.paths)
      // `/users/me` before `/users/{id}`, as the router has it.
      .sort(([one], [other]) => one.split('{').length - other.split('{').length)
      .map(([template, item]) => ({
        pattern: new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`),
        item: item as Record<string, Operation>,
      }));
  }

  /**
   * @param path a template of the document or a real path, with or without query
   * @param body parsed; undefined for an empty one
   * @throws Error when the document does not say that this may be answered
   */
  validateResponse(method: string, path: string, status: number, body: unknown): void {
    const where = `${method} ${path} ${status}`;
    const plain = path.split('?', 1)[0] ?? '';
    const found = this.paths.find(
      ({ pattern, item }) => pattern.test(plain) && item[method.toLowerCase()] !== undefined,
    );
    const response = found?.item[method.toLowerCase()]?.responses?.[String(status)];
    if (response === undefined) throw new Error(`not in the contract: ${where}`);
    const content = Object.values(response.content ?? {})[0];
    if (content === undefined) {
      if (body !== undefined) throw new Error(`against the contract: ${where} has no body`);
      return;
    }
    const validator = this.compiler.compile(absolute(content.schema));
    if (!validator(body)) {
      throw new Error(`against the contract: ${where}: ${reasons(validator)}: ${shown(body)}`);
    }
  }
}

/** Compiled once per response: Ajv keeps validators by the identity of their schema. */
const absoluteSchemas = new WeakMap<object, object>();

function absolute(schema: object): object {
  const known = absoluteSchemas.get(schema);
  if (known !== undefined) return known;
  const made = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')) as object;
  absoluteSchemas.set(schema, made);
  return made;
}

const shown = (value: unknown): string => JSON.stringify({ value }).slice(0, 500);
const reasons = (validator: ValidateFunction): string =>
  (validator.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`).join('; ');

let frames: FrameContract | undefined;
let rest: Promise<RestContract> | undefined;

/** Holds a frame that a server sent against the AsyncAPI document. @throws Error naming what is wrong */
export function validateServerFrame(frame: unknown): void {
  frames ??= new FrameContract(asyncApiDocument());
  frames.validateServerFrame(frame);
}

/** Holds an answer of REST against the OpenAPI document. Rejects, naming what is wrong. */
export async function validateResponse(
  method: string,
  path: string,
  status: number,
  body: unknown,
): Promise<void> {
  rest ??= restContract();
  (await rest).validateResponse(method, path, status, body);
}

/** Of the controllers as they are, without anything beneath them. */
async function restContract(): Promise<RestContract> {
  const module = await Test.createTestingModule({ imports: [HttpModule] })
    .useMocker(() => ({ limits: {} }))
    .compile();
  const app = module.createNestApplication();
  try {
    return new RestContract(openApiDocument(app));
  } finally {
    await app.close();
  }
}
