import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { CLIENT_FRAMES } from '../../src/protocol/frames';
import { RawDevice } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { startTestNode, type TestNode } from '../support/test-node';
import { garbled, tampered, valid, type Schema, type Vocabulary } from './grammar';
import { Neighbours } from './neighbours';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 30);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const FRAMES_PER_RUN = 12;
/** What tampered frames may end a socket with: no frame, a token that is none, this device elsewhere. */
const CLOSES_ALLOWED = new Set([4001, 4004, 4009]);
/** Sign-in is slow on purpose, signing out ends the fuzz, metrics are no JSON: they have specs of their own. */
const NOT_FUZZED = /\/auth\/|\/devices|^\/metrics/;

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly body: Schema | undefined;
  readonly query: Readonly<Record<string, Schema>>;
}

/** `FUZZ_RUNS=5000 FUZZ_SEED=7`: whatever the protocol's own schemas allow, tampered with, against a whole node. */
describe(`tampered frames and bodies (FUZZ_SEED=${SEED}, FUZZ_RUNS=${RUNS})`, () => {
  let node: TestNode;
  let neighbours: Neighbours;
  let user: TestUser;
  let words: Vocabulary;
  let device: RawDevice;
  let sent = 0;

  const signIn = (): Promise<RawDevice> =>
    RawDevice.signIn(node.url, user.token, { inspect: node.inspectFrame });

  beforeAll(async () => {
    node = await startTestNode({ rateLimits: false });
    neighbours = await Neighbours.on(node);
    user = await registerUser(node.url, 'fuzz');
    const other = await registerUser(node.url, 'other');
    device = await signIn();
    const ids: string[] = [user.id, other.id, randomUUID()];
    for (const title of ['one', 'two']) {
      const body = { kind: 'group', title, memberIds: [other.id] };
      const made = await call(node.url, 'POST', '/api/v1/conversations', { token: user.token, body });
      ids.push((made.body as { id: string }).id);
    }
    const schemas = (await documentOf(node)).components.schemas;
    const resolve = (reference: string): Schema => schemas[reference.split('/').at(-1) ?? ''] ?? {};
    words = { ids, resolve };
  });
  afterAll(async () => {
    await device.close();
    await neighbours.leave();
    await node.stop();
  });

  /** Every frame gets its one answer, or ends the socket as the protocol says; nothing is the server's fault. */
  const deliver = async (frames: readonly Buffer[]): Promise<void> => {
    for (const bytes of frames) {
      if (device.closed !== undefined) device = await signIn();
      const before = device.frames.length;
      device.socket.send(bytes, { binary: false });
      const id = `after-${++sent}`;
      device.sendText(JSON.stringify({ event: 'ping', id }));
      try {
        await device.waitFor((frame) => frame.id === id, 'pong');
      } catch (error) {
        if (!CLOSES_ALLOWED.has(device.closed?.code ?? 0)) throw error;
      }
      const answers = device.frames.slice(before);
      const faults = answers.filter(
        ({ data }) => (data as { code?: string } | undefined)?.code === 'internal',
      );
      if (faults.length > 0) throw new Error(`${bytes.toString()} is answered by ${JSON.stringify(faults)}`);
      device.frames.splice(0, Math.max(0, device.frames.length - 50));
    }
  };

  it('every frame is answered as the contract says, or closes the socket as it says', async () => {
    const frame = fc.oneof(
      ...Object.entries(CLIENT_FRAMES).map(([event, data]) =>
        fc.record({ event: fc.constant(event), id: fc.constant('fuzz'), data: valid(data as Schema, words) }),
      ),
    );
    const bytes = garbled(tampered(frame).map((value) => JSON.stringify(value)));
    const batch = fc.array(bytes, { minLength: FRAMES_PER_RUN, maxLength: FRAMES_PER_RUN });
    await fc.assert(fc.asyncProperty(batch, deliver), { numRuns: RUNS, seed: SEED, endOnFailure: true });
    await neighbours.chat();
  });

  it('every request is answered as the contract says', async () => {
    const operations = operationsOf(await documentOf(node)).filter(({ path }) => !NOT_FUZZED.test(path));
    expect(operations.length).toBeGreaterThan(15);
    const request = fc.constantFrom(...operations).chain((operation) =>
      fc.record({
        operation: fc.constant(operation),
        path: fc.array(
          fc.oneof(fc.constantFrom(...words.ids), fc.nat(5).map(String), fc.constantFrom('x', '%00', '👍')),
          {
            minLength: 3,
            maxLength: 3,
          },
        ),
        query: tampered(valid({ type: 'object', properties: operation.query }, words)),
        body: tampered(operation.body === undefined ? fc.constant(undefined) : valid(operation.body, words)),
      }),
    );
    const ask = async ({ operation, path, query, body }: Asked): Promise<void> => {
      let n = 0;
      const filled = operation.path.replaceAll(/\{[^}]+\}/g, () => encoded(path[n++] ?? ''));
      const search = new URLSearchParams(textual(query)).toString();
      const { status } = await call(
        node.url,
        operation.method,
        `${filled}${search === '' ? '' : `?${search}`}`,
        {
          token: user.token,
          ...(body === undefined || operation.method === 'GET' ? {} : { body }),
        },
      );
      // A read that is to wait for what is not there yet says so after its time.
      const waits = status === 503 && search.includes('minSeq=');
      if (status >= 500 && !waits) throw new Error(`${operation.method} ${filled} answered ${status}`);
    };
    await fc.assert(fc.asyncProperty(request, ask), { numRuns: RUNS * 5, seed: SEED, endOnFailure: true });
    await neighbours.chat();
  });
});

interface Asked {
  readonly operation: Operation;
  readonly path: readonly string[];
  readonly query: unknown;
  readonly body: unknown;
}

const encoded = (text: string): string => (text === '%00' ? text : encodeURIComponent(text));

const textual = (query: unknown): Record<string, string> =>
  Object.fromEntries(
    Object.entries(typeof query === 'object' && query !== null ? query : {}).map(([name, value]) => [
      name,
      (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed(),
    ]),
  );

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}
interface OpenApiOperation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

const documentOf = async (node: TestNode): Promise<OpenApi> =>
  (await (await fetch(`${node.url}/api/openapi.json`)).json()) as OpenApi;

const operationsOf = ({ paths }: OpenApi): Operation[] =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      body: requestBody?.content['application/json']?.schema,
      query: Object.fromEntries(
        parameters.filter((one) => one.in === 'query').map(({ name, schema = {} }) => [name, schema]),
      ),
    })),
  );
