import { randomUUID } from 'node:crypto';
import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { NOBODY, parseAddressSet, type AddressSet } from '../../src/config/address-set';
import { startTracing, type Tracing } from '../../src/tracing';
import { RawDevice } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';

const SENT = ['frame message.send', 'command SendMessage', 'append', 'feed MessageSent', 'push', 'project'];

/** A whole node with the SDK as main sets it up, and an exporter that keeps what it gets. */
describe('traces', () => {
  let exporter = new InMemorySpanExporter();
  let node: TestNode;
  let tracing: Tracing | undefined;
  let ann: TestUser;
  let bob: TestUser;
  let a: RawDevice;
  let b: RawDevice;
  let conversationId: string;
  let callers: AddressSet = NOBODY;

  const record = (sampler?: string): void => {
    exporter = new InMemorySpanExporter();
    const environment = sampler === undefined ? {} : { OTEL_TRACES_SAMPLER: sampler };
    tracing = startTracing(environment, new SimpleSpanProcessor(exporter));
  };
  const send = async (text: string): Promise<number> => {
    const content = { type: 'text', body: text };
    const sent = { conversationId, clientMessageId: randomUUID(), content };
    const ack = await a.request('message.send', sent);
    const seq = ack.data['seq'] as number;
    await b.waitFor(({ event, data }) => event === 'message.sent' && data['seq'] === seq, 'the push');
    return seq;
  };
  /** The finished spans of the one trace that a span of this name belongs to, once it has all of `names`. */
  const traceWith = (names: readonly string[]): Promise<ReadableSpan[]> =>
    eventually(names.join(', '), () => {
      const spans = exporter.getFinishedSpans();
      const first = spans.find(({ name }) => name === names[0]);
      const traceId = first?.spanContext().traceId;
      const trace = spans.filter((span) => span.spanContext().traceId === traceId);
      return names.every((name) => trace.some((span) => span.name === name)) && trace;
    });

  beforeAll(async () => {
    // All of them, whatever the ratio says when nothing is said.
    process.env['OTEL_TRACES_SAMPLER'] = 'always_on';
    node = await startTestNode({ tracingCallers: { has: (address) => callers.has(address) } });
    [ann, bob] = await Promise.all([registerUser(node.url, 'ann'), registerUser(node.url, 'bob')]);
    [a, b] = await Promise.all([
      RawDevice.signIn(node.url, ann.token),
      RawDevice.signIn(node.url, bob.token),
    ]);
    const first = { to: bob.id, clientMessageId: randomUUID(), content: { type: 'text', body: 'first' } };
    conversationId = (await a.request('message.send', first)).data['conversationId'] as string;
  });
  afterEach(async () => {
    await tracing?.stop();
    tracing = undefined;
    callers = NOBODY;
    process.env['OTEL_TRACES_SAMPLER'] = 'always_on';
  });
  afterAll(async () => {
    delete process.env['OTEL_TRACES_SAMPLER'];
    await Promise.all([a.close(), b.close()]);
    await node.stop();
  });

  it('follow a message from its frame through the log to the sockets, each step under the one before', async () => {
    record('always_on');
    await send('traced');
    const trace = await traceWith(SENT);
    const byName = new Map(trace.map((span) => [span.name, span]));
    expect(trace.map(({ name }) => name).sort()).toEqual([...SENT].sort());
    const parentOf = (name: string): string | undefined => byName.get(name)?.parentSpanContext?.spanId;
    const idOf = (name: string): string | undefined => byName.get(name)?.spanContext().spanId;
    expect(parentOf('frame message.send')).toBeUndefined();
    expect(parentOf('command SendMessage')).toBe(idOf('frame message.send'));
    expect(parentOf('append')).toBe(idOf('command SendMessage'));
    expect(parentOf('feed MessageSent')).toBe(idOf('command SendMessage'));
    expect(parentOf('push')).toBe(idOf('feed MessageSent'));
    expect(parentOf('project')).toBe(idOf('command SendMessage'));
    expect(byName.get('command SendMessage')?.attributes['parley.conversation']).toBe(conversationId);
    expect(byName.get('frame message.send')?.attributes['enduser.id']).toBe(ann.id);
  });

  it('go on with the trace of a REST caller who is trusted, which stands in the metadata of the event', async () => {
    record();
    callers = parseAddressSet('loopback');
    const traceId = randomUUID().replaceAll('-', '');
    const body = { content: { type: 'text', body: 'over REST' }, clientMessageId: randomUUID() };
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const path = `/api/v1/conversations/${conversationId}/messages`;
    expect((await call(node.url, 'POST', path, { token: ann.token, body, headers })).status).toBe(201);
    const route = 'POST /api/v1/conversations/:id/messages';
    const trace = await traceWith([route, ...SENT.slice(1)]);
    expect(new Set(trace.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));
    const request = trace.find(({ name }) => name === route);
    expect(request?.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
    expect(request?.attributes).toMatchObject({ 'http.response.status_code': 201, 'enduser.id': ann.id });
  });

  it('are not made because a stranger says so, and name the trace they named when they are made', async () => {
    // Nothing by itself: whatever is recorded was asked for.
    process.env['OTEL_TRACES_SAMPLER'] = 'parentbased_always_off';
    record('parentbased_always_off');
    const traceId = randomUUID().replaceAll('-', '');
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const path = `/api/v1/conversations/${conversationId}/messages`;
    const post = async (): Promise<void> => {
      const body = { content: { type: 'text', body: 'pushy' }, clientMessageId: randomUUID() };
      const answer = await call(node.url, 'POST', path, { token: ann.token, body, headers });
      const { seq } = answer.body as { seq: number };
      await b.waitFor(({ event, data }) => event === 'message.sent' && data['seq'] === seq, 'the push');
    };
    await post();
    // Neither the request, nor what its event sets off.
    await send('after it');
    expect(exporter.getFinishedSpans()).toEqual([]);
    process.env['OTEL_TRACES_SAMPLER'] = 'always_on';
    await tracing?.stop();
    record('always_on');
    await post();
    const route = 'POST /api/v1/conversations/:id/messages';
    const trace = await traceWith([route, ...SENT.slice(1)]);
    const request = trace.find(({ name }) => name === route);
    expect(request?.parentSpanContext).toBeUndefined();
    expect(request?.spanContext().traceId).not.toBe(traceId);
    expect(request?.links.map(({ context }) => context.traceId)).toEqual([traceId]);
  });

  it('respect a trusted caller who says that nothing shall be recorded', async () => {
    record();
    callers = parseAddressSet('loopback');
    const body = { content: { type: 'text', body: 'unsampled' }, clientMessageId: randomUUID() };
    const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00' };
    const path = `/api/v1/conversations/${conversationId}/messages`;
    await call(node.url, 'POST', path, { token: ann.token, body, headers });
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('tell what was refused by its code, and never say what was written', async () => {
    record('always_on');
    const body = `secret-${randomUUID()}`;
    await a.request('message.edit', { conversationId, target: 9_999, content: { type: 'text', body } });
    await send(body);
    const trace = await traceWith(SENT);
    const edit = exporter.getFinishedSpans().find(({ name }) => name === 'frame message.edit');
    expect(edit?.attributes['error.type']).toBe('not_found');
    const said = exporter
      .getFinishedSpans()
      .map(({ name, attributes, events }) => [name, attributes, events]);
    expect(trace.length).toBeGreaterThan(0);
    expect(JSON.stringify(said)).not.toContain(body);
  });

  it('record nothing while they are off', async () => {
    record('always_on');
    await tracing?.stop();
    exporter.reset();
    const seq = await send('untraced');
    expect(seq).toBeGreaterThan(0);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
