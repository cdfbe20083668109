import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, MODULE_METADATA, PATH_METADATA } from '@nestjs/common/constants';
import type { OpenAPIObject } from '@nestjs/swagger';
import Ajv2020 from 'ajv/dist/2020';
import { FrameContract, validateResponse, validateServerFrame } from '../../test/support/contract-validator';
import { startHttpApp, type TestHttpApp } from '../../test/support/http-app';
import { ALL_SERVER_FRAMES, CLIENT_FRAMES } from '../protocol/frames';
import { problem } from '../protocol/errors';
import { asyncApiDocument, type AsyncApiDocument } from './asyncapi';
import { HttpModule } from './http.module';

type Controller = new (...args: never[]) => object;

/** `METHOD /path/{template}` of every handler of the module, read from Nest's own metadata. */
function declaredRoutes(): string[] {
  const controllers = Reflect.getMetadata(MODULE_METADATA.CONTROLLERS, HttpModule) as Controller[];
  return controllers.flatMap((controller) => {
    const base = Reflect.getMetadata(PATH_METADATA, controller) as string;
    const handlers = Object.getOwnPropertyNames(controller.prototype).filter(
      (name) => name !== 'constructor',
    );
    return handlers.flatMap((name) => {
      const handler = Reflect.get(controller.prototype as object, name) as object;
      const path = Reflect.getMetadata(PATH_METADATA, handler) as string | undefined;
      if (path === undefined) return [];
      const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as number] ?? '';
      const full = `/${base}/${path}`.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1');
      return [`${method} ${full.replaceAll(/:([A-Za-z]+)/g, '{$1}')}`];
    });
  });
}

interface Operation {
  readonly summary?: string;
  readonly security?: object[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema?: object }[];
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>;
}

/** Beside what needs an access token. */
const OPEN = [
  'POST /api/v1/auth/register',
  'POST /api/v1/auth/login',
  'POST /api/v1/auth/refresh',
  'POST /api/v1/auth/logout',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /api/asyncapi.json',
];

const FORGERIES = [
  undefined,
  'Bearer wrong',
  'Basic YTpi',
  'Bearer',
  'bearer  x',
  'Bearer a b',
  'Bearer %C3%A9',
];
/** A busy machine may need longer than Jest's five seconds for a request to each of forty routes. */
const ALL_ROUTES_MS = 30_000;

describe('the published contract', () => {
  let http: TestHttpApp;
  let openapi: OpenAPIObject;
  let operations: Map<string, Operation>;

  beforeAll(async () => {
    http = await startHttpApp();
    openapi = (await (await fetch(`${http.url}/api/openapi.json`)).json()) as OpenAPIObject;
    operations = new Map(
      Object.entries(openapi.paths).flatMap(([path, item]) =>
        Object.entries(item).map(([method, operation]) => [
          `${method.toUpperCase()} ${path}`,
          operation as unknown as Operation,
        ]),
      ),
    );
  });
  afterAll(() => http.stop());

  it('is OpenAPI 3.1 with exactly the routes that exist', () => {
    expect(openapi.openapi).toBe('3.1.0');
    const routes = declaredRoutes();
    expect(routes.length).toBeGreaterThan(25);
    expect([...operations.keys()].sort()).toEqual([...routes].sort());
  });

  it('gives every route a summary and a schema for all it takes and answers', () => {
    for (const [route, operation] of operations) {
      expect([route, operation.summary ?? '']).toEqual([route, expect.stringMatching(/\S/)]);
      const takesBody = /^(POST|PATCH) /.test(route);
      expect([route, operation.requestBody !== undefined]).toEqual([route, takesBody]);
      for (const parameter of operation.parameters) {
        expect([route, parameter.name, parameter.schema]).not.toContain(undefined);
      }
      for (const name of route.matchAll(/\{(\w+)\}/g)) {
        expect(operation.parameters).toContainEqual(expect.objectContaining({ name: name[1], in: 'path' }));
      }
      const successes = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
      expect([route, successes.length]).not.toEqual([route, 0]);
      for (const [status, { content }] of Object.entries(operation.responses)) {
        if (status !== '204')
          expect([route, status, Object.keys(content ?? {})]).not.toEqual([route, status, []]);
      }
    }
  });

  it('refers only to schemas that it holds, and all of them compile', () => {
    const schemas = openapi.components?.schemas ?? {};
    const references = JSON.stringify(openapi.paths).matchAll(/"#\/components\/schemas\/(\w+)"/g);
    const referred = new Set(Array.from(references, (match) => match[1] ?? ''));
    for (const name of referred) expect(Object.keys(schemas)).toContain(name);
    expect(referred.size).toBeGreaterThan(20);
    const ajv = new Ajv2020({ strict: false });
    for (const schema of Object.values(schemas)) expect(() => ajv.compile(schema)).not.toThrow();
  });

  it(
    'says which routes need a token, and they refuse whoever has none',
    async () => {
      for (const [route, operation] of operations) {
        const open = OPEN.includes(route);
        expect([route, operation.security === undefined]).toEqual([route, open]);
        if (open) continue;
        const [method, template] = route.split(' ') as [string, string];
        const path = template.replaceAll(/\{\w+\}/g, '019a0000-0000-7000-8000-000000000001');
        for (const authorization of template === '/api/v1/users/me' ? FORGERIES : FORGERIES.slice(0, 2)) {
          const headers = authorization === undefined ? {} : { headers: { authorization } };
          const response = await fetch(http.url + path, { method, ...headers });
          expect([route, response.status]).toEqual([route, 401]);
          expect(response.headers.get('www-authenticate')).toContain('Bearer');
          await validateResponse(method, path, 401, await response.json());
        }
      }
    },
    ALL_ROUTES_MS,
  );

  it('serves the pages of the documentation', async () => {
    const page = await fetch(`${http.url}/api/docs`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('Parley API');
    expect((await fetch(`${http.url}/api/docs/swagger-ui-bundle.js`)).status).toBe(200);
  });

  it('serves AsyncAPI 3.0 with every frame, in the right direction', async () => {
    const served = (await (await fetch(`${http.url}/api/asyncapi.json`)).json()) as AsyncApiDocument;
    expect(served).toEqual(asyncApiDocument());
    expect(served.asyncapi).toBe('3.0.0');
    const messages = Object.keys(served.components.messages);
    expect([...messages].sort()).toEqual(
      [
        ...Object.keys(CLIENT_FRAMES).map((name) => `client.${name}`),
        ...Object.keys(ALL_SERVER_FRAMES).map((name) => `server.${name}`),
      ].sort(),
    );
    const inChannel = Object.keys(served.channels.socket.messages);
    expect(inChannel).toEqual(messages);
    for (const { $ref } of Object.values(served.channels.socket.messages)) {
      expect(messages).toContain($ref.replace('#/components/messages/', ''));
    }
    for (const operation of Object.values(served.operations)) {
      expect(operation.channel.$ref).toBe('#/channels/socket');
      for (const { $ref } of [...operation.messages, ...(operation.reply?.messages ?? [])]) {
        expect(inChannel).toContain($ref.replace('#/channels/socket/messages/', ''));
      }
    }
    const received = Object.values(served.operations).filter(({ action }) => action === 'receive');
    expect(received).toHaveLength(Object.keys(CLIENT_FRAMES).length);
  });
});

describe('the contract validator', () => {
  it('lets good frames through and names bad ones', () => {
    expect(() => {
      validateServerFrame({ event: 'pong', id: '1', data: {} });
      validateServerFrame({ event: 'error', data: problem('not_found', 'no') });
    }).not.toThrow();
    expect(() => {
      validateServerFrame({ event: 'pong' });
    }).toThrow('against the contract');
    expect(() => {
      validateServerFrame({ event: 'ok', data: { seq: -1 } });
    }).toThrow('/data/seq');
    expect(() => {
      validateServerFrame({ event: 'message.send', data: {} });
    }).toThrow('not in the contract');
    expect(() => {
      validateServerFrame(null);
    }).toThrow('not in the contract');
  });

  it('holds client frames to be closed', () => {
    const contract = new FrameContract(asyncApiDocument());
    expect(() => {
      contract.validateClientFrame({ event: 'ping' });
    }).not.toThrow();
    expect(() => {
      contract.validateClientFrame({ event: 'ping', extra: 1 });
    }).toThrow('against the contract');
  });

  it('holds answers against method, path and status', async () => {
    const path = '/api/v1/conversations/019a0000-0000-7000-8000-000000000001/read';
    await validateResponse('POST', path, 200, { seq: 3 });
    await validateResponse('POST', path, 404, problem('not_found', 'no'));
    await validateResponse('DELETE', '/api/v1/devices/{deviceId}', 204, undefined);
    await expect(validateResponse('POST', path, 200, { seq: '3' })).rejects.toThrow('/seq');
    await expect(validateResponse('POST', path, 418, {})).rejects.toThrow('not in the contract');
    await expect(validateResponse('PUT', path, 200, {})).rejects.toThrow('not in the contract');
    await expect(validateResponse('DELETE', '/api/v1/devices/x', 204, {})).rejects.toThrow('no body');
    await expect(validateResponse('GET', '/api/v1/users/me?x=1', 200, {})).rejects.toThrow('privacy');
  });
});
