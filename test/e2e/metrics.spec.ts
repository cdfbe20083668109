import { randomUUID } from 'node:crypto';
import { Metrics } from '../../src/observability/metrics';
import { RawDevice } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';

/** Happen only when something is wrong, or on a machine that is busier than this test makes it. */
const QUIET: ReadonlySet<string> = new Set([
  'parley_sends_failed_total',
  'parley_slow_consumers_total',
  'parley_store_failures_total',
  'parley_receipt_cursors_dropped_total',
  'parley_projection_poison_total',
  'parley_feed_restarts_total',
  'parley_append_conflicts_total',
  'parley_relay_endings_total',
  'parley_relay_batches_total',
]);
/** Gauges that are nought on an idle node. */
const IDLE: ReadonlySet<string> = new Set([
  'parley_outbound_bytes_waiting',
  'parley_feed_lag_events',
  'parley_feed_lag_seconds',
  'parley_projection_lag_events',
  'parley_projection_lag_seconds',
  'parley_password_hashes_waiting',
  'parley_relay_active',
  'parley_relay_nodes',
  'parley_relay_bytes_total',
  'parley_relay_lag_events',
  'parley_relay_events_total',
]);

/** Whether there is anything to count depends on how busy the machine is. */
const EITHER_WAY: ReadonlySet<string> = new Set(['parley_feed_repairs_total']);

class Scrape {
  readonly samples = new Map<string, number>();

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const [, series = '', value] = /^([a-z][^ ]*(?: [^ ]+="[^"]*")*) (\S+)$/.exec(line) ?? [];
      if (series !== '') this.samples.set(series, Number(value));
    }
  }

  /** Over all series of a name. */
  sum(name: string): number {
    let sum = 0;
    for (const [series, value] of this.samples) if (series.split('{', 1)[0] === name) sum += value;
    return sum;
  }

  has(name: string): boolean {
    return [...this.samples.keys()].some((series) => series.split('{', 1)[0] === name);
  }
}

describe('the metrics of a node that chats', () => {
  let node: TestNode;
  let ann: TestUser;
  let bob: TestUser;
  const scrape = async (): Promise<Scrape> => new Scrape(await (await fetch(`${node.url}/metrics`)).text());

  beforeAll(async () => {
    node = await startTestNode();
    [ann, bob] = await Promise.all([registerUser(node.url, 'ann'), registerUser(node.url, 'bob')]);
  });
  afterAll(() => node.stop());

  /** Two messages over the socket, one over REST, a retry, a refusal, receipts, presence, a way back. */
  async function chat(): Promise<readonly RawDevice[]> {
    const a = await RawDevice.signIn(node.url, ann.token);
    let b = await RawDevice.signIn(node.url, bob.token);
    await b.request('presence.watch', { userIds: [ann.id] });
    const first = { to: bob.id, clientMessageId: randomUUID(), content: { type: 'text', body: 'one' } };
    const ack = await a.request('message.send', first);
    expect((await a.request('message.send', first)).data['duplicate']).toBe(true);
    const conversationId = ack.data['conversationId'] as string;
    expect((await a.request('message.send', { ...first, content: { type: 'text', body: 'x' } })).event).toBe(
      'error',
    );
    const push = await b.waitFor(({ event }) => event === 'message.sent', 'the push');
    const seq = push.data['seq'] as number;
    await b.request('delivered', { cursors: { [conversationId]: seq } });
    await b.request('read', { conversationId, upTo: seq });
    await a.waitFor(({ event }) => event === 'message.read', 'the receipt');
    await a.request('presence.set', { status: 'busy' });
    await b.waitFor(({ event }) => event === 'presence', 'the presence');
    await b.close();
    const body = { content: { type: 'text', body: 'two' }, clientMessageId: randomUUID() };
    const path = `/api/v1/conversations/${conversationId}/messages`;
    expect((await call(node.url, 'POST', path, { token: ann.token, body })).status).toBe(201);
    expect((await call(node.url, 'GET', path, { token: 'wrong' })).status).toBe(401);
    b = await RawDevice.signIn(node.url, bob.token);
    await b.sync({ cursors: { [conversationId]: seq } });
    return [a, b];
  }

  it('has every metric that is documented, with a value that makes sense', async () => {
    const devices = await chat();
    const before = await eventually('projections', async () => {
      const now = await scrape();
      return now.sum('parley_projection_events_total') > 0 && now.has('parley_projection_lag_seconds') && now;
    });
    await Promise.all(devices.map((device) => device.close()));
    const definitions = await new Metrics().registry.getMetricsAsJSON();
    expect(definitions.length).toBeGreaterThan(30);
    for (const { name, type } of definitions as unknown as { name: string; type: string }[]) {
      if (QUIET.has(name)) continue;
      const sample = type === 'histogram' ? `${name}_count` : name;
      expect([name, before.has(sample)]).toEqual([name, true]);
      if (!EITHER_WAY.has(name)) expect([name, before.sum(sample) > 0]).toEqual([name, !IDLE.has(name)]);
      if (type === 'histogram') expect([name, before.sum(`${name}_sum`)]).not.toEqual([name, NaN]);
    }
    expect(before.samples.get('parley_sends_acknowledged_total{duplicate="false"}')).toBe(2);
    expect(before.samples.get('parley_sends_acknowledged_total{duplicate="true"}')).toBe(1);
    expect(before.sum('parley_send_persisted_milliseconds_count')).toBe(2);
    expect(before.sum('parley_send_delivered_milliseconds_count')).toBe(2);
    const refused = 'parley_refused_total{code="client_message_id_reused",door="socket"}';
    expect(before.samples.get(refused)).toBe(1);
    expect(before.samples.get('parley_refused_total{code="unauthenticated",door="rest"}')).toBe(1);
    expect(before.sum('parley_reconnects_total')).toBe(1);
    expect(before.sum('parley_sockets_opened_total')).toBe(3);
    expect(before.sum('parley_sync_events_sum')).toBeGreaterThanOrEqual(1);
    expect(before.samples.get('parley_receipt_cursors_total{kind="read"}')).toBeGreaterThanOrEqual(1);
  });

  it('counts what stands still: with no projector, the read models fall behind in events and in seconds', async () => {
    const alone = await startTestNode({ roles: new Set(['gateway']) });
    try {
      const user = await registerUser(alone.url, 'cid');
      const body = { kind: 'group', title: 't', memberIds: [] };
      for (let n = 0; n < 3; n++) {
        await call(alone.url, 'POST', '/api/v1/conversations', { token: user.token, body });
      }
      const lag = await eventually('a lag', async () => {
        const now = new Scrape(await (await fetch(`${alone.url}/metrics`)).text());
        return now.sum('parley_projection_lag_seconds') > 0 && now;
      });
      expect(lag.sum('parley_projection_lag_events')).toBe(3);
      expect(lag.sum('parley_feed_lag_seconds')).toBe(0);
    } finally {
      await alone.stop();
    }
  });
});
