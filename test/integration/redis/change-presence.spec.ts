import { randomUUID } from 'node:crypto';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer } from '../../support/redis-server';
import { PRESENCE_GRACE_MS, PRESENCE_TTL_MS, type OwnStatus } from '../../../src/application/ports/presence';
import { asUserId, type UserId } from '../../../src/kernel/ids';
import {
  LAST_SEEN_KEPT_MS,
  presenceChannel,
  presenceDueKeyOf,
  presenceKey,
} from '../../../src/infrastructure/redis/keys';
import {
  ChangePresenceScript,
  type PresenceChange,
} from '../../../src/infrastructure/redis/scripts/change-presence';

describeWithRedis('ChangePresenceScript', () => {
  let server: RedisServer;
  let node: TestRedisNode;
  let script: ChangePresenceScript;
  let ann: UserId;
  let told: string[];
  const shift = { ms: 0 };

  beforeAll(async () => {
    server = await RedisServer.start('cluster');
    node = await redisNode(server.url);
    script = new ChangePresenceScript(node.link, () => shift.ms);
  });
  afterAll(async () => {
    node.close();
    await server.stop();
  });
  beforeEach(async () => {
    shift.ms = 0;
    ann = asUserId(randomUUID());
    told = [];
    await node.channels.subscribe(presenceChannel(ann), (payload) => told.push(payload.toString()));
  });

  const beat = (sessionId: string, status: OwnStatus = 'online', setAt = 0): PresenceChange => ({
    op: 'beat',
    sessionId,
    deviceId: `device-${sessionId}`,
    status,
    customStatus: undefined,
    setAt,
    activity: 'active',
  });
  const heard = async (): Promise<string[]> => {
    await node.settled();
    return told.map((text) => text.slice(text.indexOf('|') + 1));
  };
  const due = (): Promise<unknown> => server.command('ZSCORE', presenceDueKeyOf(ann), ann);

  it('makes an entry that ends by itself, whatever becomes of the nodes', async () => {
    await script.run(ann, beat('1'));
    for (const key of [presenceKey(ann), presenceDueKeyOf(ann)]) {
      const left = Number(await server.command('PTTL', key));
      expect(left).toBeGreaterThan(LAST_SEEN_KEPT_MS - 60_000);
      expect(left).toBeLessThanOrEqual(LAST_SEEN_KEPT_MS);
    }
  });

  it('tells a change once, however many settle it', async () => {
    await script.run(ann, beat('1'));
    shift.ms = PRESENCE_TTL_MS + 1;
    await Promise.all([1, 2, 3].map(() => script.run(ann, { op: 'settle' })));
    expect(await heard()).toEqual(['online|', 'offline|']);
    expect(await due()).toBeNull();
  });

  it('is due when the first of the sessions expires', async () => {
    await script.run(ann, beat('1'));
    const first = Number(await due());
    shift.ms = 5_000;
    await script.run(ann, beat('2'));
    expect(Number(await due())).toBe(first);
    await script.run(ann, { op: 'leave', deviceId: 'device-1', sessionId: '1' });
    expect(Number(await due())).toBeGreaterThanOrEqual(first + 5_000);
    await script.run(ann, { op: 'leave', deviceId: 'device-2', sessionId: '2' });
    expect(Number(await due())).toBeLessThan(first + 5_000 - PRESENCE_TTL_MS + PRESENCE_GRACE_MS + 5_000);
  });

  it('does not bring a session back that has left', async () => {
    await script.run(ann, beat('1'));
    await script.run(ann, { op: 'leave', deviceId: 'device-1', sessionId: '1' });
    await script.run(ann, { op: 'leave', deviceId: 'device-1', sessionId: '1' });
    shift.ms = PRESENCE_GRACE_MS + 1;
    await script.run(ann, { op: 'leave', deviceId: 'device-1', sessionId: '1' });
    expect(await heard()).toEqual(['online|', 'offline|']);
  });

  it('takes what a forgotten session says of itself', async () => {
    await script.run(ann, beat('1', 'busy', Date.now()));
    await script.run(ann, beat('1', 'online'));
    expect(await heard()).toEqual(['busy|']);
  });

  it('lets the later word speak for sessions that are equally present', async () => {
    const set = (sessionId: string, customStatus: string): PresenceChange => ({
      op: 'set',
      deviceId: `device-${sessionId}`,
      sessionId,
      status: 'online',
      customStatus,
      setAt: 0,
      activity: 'active',
    });
    await script.run(ann, set('1', 'tea'));
    shift.ms = 10;
    await script.run(ann, set('2', 'a|b'));
    shift.ms = 20;
    await script.run(ann, set('1', 'coffee'));
    expect(await heard()).toEqual(['online|tea', 'online|a|b', 'online|coffee']);
  });

  it('gets over entries that somebody else wrote', async () => {
    await server.command('HSET', presenceKey(ann), 's:x', 'nonsense', 's:y', 'god|1|9999999999999|0|0|');
    await script.run(ann, beat('1'));
    expect(await heard()).toEqual(['online|']);
    expect(await server.command('HKEYS', presenceKey(ann))).toEqual(
      expect.not.arrayContaining(['s:x', 's:y']),
    );
  });
});
