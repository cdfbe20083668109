import { randomUUID } from 'node:crypto';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer } from '../../support/redis-server';
import { rateKey } from '../../../src/infrastructure/redis/keys';
import { TakeTokensScript } from '../../../src/infrastructure/redis/scripts/take-tokens';

describeWithRedis('TakeTokensScript', () => {
  let server: RedisServer;
  let node: TestRedisNode;
  let script: TakeTokensScript;
  const shift = { ms: 0 };
  const bucket = { rule: 'test', perSecond: 10, burst: 5 };

  beforeAll(async () => {
    server = await RedisServer.start('cluster');
    node = await redisNode(server.url);
    script = new TakeTokensScript(node.link, () => shift.ms);
  });
  afterAll(async () => {
    node.close();
    await server.stop();
  });
  beforeEach(() => {
    shift.ms = 0;
  });

  it('adds up what all nodes spend, and never owes more than the burst', async () => {
    const key = randomUUID();
    expect(await script.run(bucket, key, 1)).toBe(100);
    const two = await script.run(bucket, key, 2);
    // The server's clock goes on meanwhile: what flows back is at most what one test takes.
    expect(two).toBeGreaterThan(200);
    expect(two).toBeLessThanOrEqual(300);
    expect(await script.run(bucket, key, 99)).toBe(500);
    shift.ms = 3_600_000;
    expect(await script.run(bucket, key, 1)).toBe(100);
  });

  it('only asks when nothing was spent', async () => {
    const key = randomUUID();
    expect(await script.run(bucket, key, 0)).toBe(0);
    expect(await server.command('EXISTS', rateKey('test', key))).toBe(0);
  });

  it('makes entries that end by themselves, and name nobody', async () => {
    const key = `192.0.2.7 ann-${randomUUID()}`;
    await script.run(bucket, key, 3);
    const left = Number(await server.command('PTTL', rateKey('test', key)));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(1_500);
    expect(rateKey('test', key)).not.toContain('ann');
  });
});
