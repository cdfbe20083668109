import { TestNode, TestRelay, type TestBatch } from '../../../test/support/relay-chain';
import { CHAIN_BATCHES_MAX, CHAIN_BYTES_MAX, RELAY_SILENT_MS } from './chain';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Chain, step by step', () => {
  const LOG = Array.from({ length: 40 }, (_, place) => ({ place, conversation: 0, user: 0 }));
  let node: TestNode;
  let relay: TestRelay;

  beforeEach(async () => {
    node = new TestNode(LOG, 10);
    relay = new TestRelay(3, LOG, 10);
    node.connect(0);
    for (const batch of relay.learn(node.version, [0])) node.chain.hear(batch, 0);
    await join();
  });
  const join = async (): Promise<void> => {
    node.finishLeaving();
    await turn();
  };
  const next = (events = 1): TestBatch => {
    for (let n = 0; n < events; n++) relay.take(() => false);
    return relay.flush();
  };

  it('joins a chain that begins where it stands, and is told from there', () => {
    expect(node.chain.isRelayed).toBe(true);
    node.chain.hear(next(3), 1);
    expect(node.got.get(0)).toEqual([10, 11, 12]);
    expect(node.done).toBe(13);
  });

  it('follows by itself after a hole, from what it is certain of', () => {
    node.chain.hear(next(), 1);
    next();
    node.chain.hear(next(), 1);
    expect(node.endings).toEqual(['hole']);
    for (let n = 0; n < 3; n++) node.step();
    expect(node.got.get(0)).toEqual([10, 11, 12, 13]);
  });

  it('joins again as soon as it has come to where the chain goes on', async () => {
    next(2);
    const after = next();
    node.chain.hear(after, 1);
    expect(node.chain.isRelayed).toBe(false);
    for (let n = 0; n < 2; n++) node.step();
    node.chain.tick(2);
    await join();
    expect(node.chain.isRelayed).toBe(true);
    expect(node.got.get(0)).toEqual([10, 11, 12]);
  });

  it('follows by itself when the relay is silent for longer than RELAY_SILENT_MS', () => {
    node.chain.tick(RELAY_SILENT_MS);
    expect(node.endings).toEqual([]);
    node.chain.tick(RELAY_SILENT_MS + 1);
    expect(node.endings).toEqual(['silent']);
  });

  it('does not listen to a relay of a lower term', () => {
    const old = new TestRelay(2, LOG, 10);
    for (const batch of old.learn(node.version, [0])) node.chain.hear(batch, 1);
    expect(node.endings).toEqual([]);
    node.chain.hear(next(), 2);
    expect(node.got.get(0)).toEqual([10]);
  });

  it.each(['term', 'chain'] as const)(
    'does not go on with another %s whose numbers happen to fit',
    async (which) => {
      node.chain.giveUp('hole');
      const one = next();
      const other = { ...next(), [which]: one[which] + 1 };
      node.chain.hear(one, 1);
      node.step();
      node.chain.hear(other, 1);
      await join();
      // It does not begin before where the second one begins, which is where the node is not yet.
      expect(node.chain.isRelayed).toBe(false);
      node.chain.giveUp('hole');
      for (const batch of relay.learn(node.version + 1, [0])) node.chain.hear(batch, 1);
      for (let n = 0; n < 5; n++) node.step();
      node.chain.tick(2);
      await join();
      node.chain.hear({ ...next(), [which]: 9 }, 3);
      expect(node.endings).not.toEqual([]);
    },
  );

  it('listens to a lower term when the higher one has been silent: the leases may have been begun anew', async () => {
    node.chain.tick(RELAY_SILENT_MS + 1);
    relay = new TestRelay(1, LOG, 10);
    for (const batch of relay.learn(node.version, [0])) node.chain.hear(batch, RELAY_SILENT_MS + 2);
    await join();
    expect(node.chain.isRelayed).toBe(true);
  });

  it('is not misled by batches that the word of the end has overtaken', () => {
    const late = next();
    node.chain.end(3);
    node.chain.hear(late, 1);
    node.chain.tick(2);
    expect(node.chain.covers(99)).toBe(true);
    expect(node.endings).toEqual(['ended']);
  });

  it('covers nobody whom the relay does not know yet', async () => {
    node.connect(1);
    expect(node.chain.covers(node.version)).toBe(false);
    for (const batch of relay.learn(node.version, [0, 1])) node.chain.hear(batch, 1);
    expect(node.chain.covers(node.version)).toBe(true);
    node.chain.giveUp('uncovered');
    node.connect(2);
    expect(node.chain.covers(node.version)).toBe(true);
    // And it does not join what was planned before.
    for (let n = 0; n < 5; n++) node.chain.hear(next(), 2);
    for (let n = 0; n < 10; n++) node.step();
    node.chain.tick(3);
    await join();
    expect(node.chain.isRelayed).toBe(false);
  });

  it('keeps CHAIN_BATCHES_MAX batches while it catches up, and no more', () => {
    node.chain.giveUp('hole');
    const begin = next(5);
    for (let n = 0; n <= CHAIN_BATCHES_MAX; n++) {
      node.chain.hear({ ...begin, n: begin.n + n }, 1);
    }
    for (let n = 0; n < 5; n++) node.step();
    node.chain.tick(2);
    // What was kept was given up, with the batch that was one too many.
    expect(node.chain.covers(99)).toBe(true);
  });

  it('joins with as many as it keeps', async () => {
    node.chain.giveUp('hole');
    const begin = next(5);
    for (let n = 0; n < CHAIN_BATCHES_MAX; n++) node.chain.hear({ ...begin, n: begin.n + n }, 1);
    for (let n = 0; n < 5; n++) node.step();
    node.chain.tick(2);
    await join();
    expect(node.chain.isRelayed).toBe(true);
  });

  it('keeps CHAIN_BYTES_MAX bytes, and no more', async () => {
    for (const [bytes, joins] of [
      [CHAIN_BYTES_MAX, true],
      [CHAIN_BYTES_MAX + 1, false],
    ] as const) {
      node.chain.giveUp('hole');
      const begin = next();
      node.chain.hear({ ...begin, bytes }, 1);
      for (let n = 0; n < 5; n++) node.step();
      node.chain.tick(2);
      await join();
      expect(node.chain.isRelayed).toBe(joins);
    }
  });
});
