import { newUser, sessionOf } from '../../contracts/socket-directory.contract';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer } from '../../support/redis-server';
import { SOCKET_ENTRY_TTL_MS } from '../../../src/application/ports/socket-directory';
import { socketsKey } from '../../../src/infrastructure/redis/keys';
import { RegisterSocketScript } from '../../../src/infrastructure/redis/scripts/register-socket';

describeWithRedis('RegisterSocketScript', () => {
  let server: RedisServer;
  let node: TestRedisNode;
  const shift = { ms: 0 };
  let here: RegisterSocketScript;
  let there: RegisterSocketScript;

  beforeAll(async () => {
    server = await RedisServer.start('cluster');
    node = await redisNode(server.url);
    here = new RegisterSocketScript(node.link, 'here', () => shift.ms);
    there = new RegisterSocketScript(node.link, 'there', () => shift.ms);
  });
  afterAll(async () => {
    node.close();
    await server.stop();
  });
  beforeEach(() => {
    shift.ms = 0;
  });

  it('says where the socket is that it displaces, once', async () => {
    const ann = newUser();
    const [older, newer] = [sessionOf(ann, 'phone'), sessionOf(ann, 'phone')];
    await here.register(older, 1, 0);
    const displaced = [{ sessionId: older.sessionId, node: 'here' }];
    expect(await there.register(newer, 1, 0)).toMatchObject({ kind: 'registered', displaced });
    expect(await there.refresh(newer, Date.now())).toMatchObject({ kind: 'registered', displaced: [] });
  });

  it('counts sockets of other devices on all nodes, at the limit and over it', async () => {
    const ann = newUser();
    expect(await here.register(sessionOf(ann, 'a'), 2, 0)).toMatchObject({ kind: 'registered' });
    expect(await there.register(sessionOf(ann, 'b'), 2, 0)).toMatchObject({ kind: 'registered' });
    expect(await here.register(sessionOf(ann, 'c'), 2, 0)).toEqual({ kind: 'tooMany' });
    expect(await here.register(sessionOf(ann, 'b'), 2, 0)).toMatchObject({ kind: 'registered' });
    expect(await server.command('HLEN', socketsKey(ann))).toBe(2);
  });

  it('lets a socket that was clearly opened later stay, on whatever node; within a second, who comes later wins', async () => {
    const ann = newUser();
    const [newer, givenUp, slow] = [
      sessionOf(ann, 'phone'),
      sessionOf(ann, 'phone'),
      sessionOf(ann, 'phone'),
    ];
    await here.register(newer, 9, 100);
    expect(await there.register(givenUp, 9, 15_000)).toEqual({ kind: 'displaced' });
    expect(await server.command('HKEYS', socketsKey(ann))).toEqual([newer.sessionId]);
    const displaced = [{ sessionId: newer.sessionId, node: 'here' }];
    expect(await there.register(slow, 9, 400)).toMatchObject({ kind: 'registered', displaced });
  });

  it('lets the later opened one win when both come back after a flush', async () => {
    const ann = newUser();
    const [older, newer] = [sessionOf(ann, 'phone'), sessionOf(ann, 'phone')];
    const first = await here.register(older, 9, 0);
    shift.ms = 50;
    const second = await there.register(newer, 9, 0);
    if (first.kind !== 'registered' || second.kind !== 'registered') throw new Error('not registered');
    for (const order of ['older first', 'newer first']) {
      await server.command('FLUSHALL');
      const refreshOlder = () => here.refresh(older, first.since);
      const refreshNewer = () => there.refresh(newer, second.since);
      if (order === 'older first') {
        expect(await refreshOlder()).toMatchObject({ kind: 'registered' });
        const displaced = [{ sessionId: older.sessionId, node: 'here' }];
        expect(await refreshNewer()).toMatchObject({ kind: 'registered', displaced });
      } else {
        expect(await refreshNewer()).toMatchObject({ kind: 'registered', displaced: [] });
        expect(await refreshOlder()).toEqual({ kind: 'displaced' });
      }
    }
  });

  it('makes entries that end by themselves', async () => {
    const ann = newUser();
    await here.register(sessionOf(ann, 'a'), 9, 0);
    const left = Number(await server.command('PTTL', socketsKey(ann)));
    expect(left).toBeGreaterThan(SOCKET_ENTRY_TTL_MS - 30_000);
    expect(left).toBeLessThanOrEqual(SOCKET_ENTRY_TTL_MS);
    shift.ms = SOCKET_ENTRY_TTL_MS + 1;
    expect(await there.register(sessionOf(ann, 'b'), 1, 0)).toMatchObject({ kind: 'registered' });
  });

  it('gets over entries that somebody else wrote', async () => {
    const ann = newUser();
    await server.command('HSET', socketsKey(ann), 'x', 'nonsense');
    expect(await here.register(sessionOf(ann, 'a'), 1, 0)).toMatchObject({
      kind: 'registered',
      displaced: [],
    });
  });
});
