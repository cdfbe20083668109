import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, portOf } from '../support/cluster';
import { ClusterCrowd } from '../support/cluster-crowd';
import { describeWithNginx, NginxServer } from '../support/nginx-server';
import { call } from '../support/rest';
import type { ServerProcess } from '../support/server-process';

const PATIENCE_MS = 600_000;
const RATE = 20;
/** `fail_timeout` of nginx.conf, and as much again. */
const BALANCER_LEAVES_OUT_MS = 2_000;
const key = (): string => randomBytes(32).toString('hex');

/** The procedures of docs/operations.md, carried out under load behind the balancer of the compose file. */
describeWithNginx('operations behind nginx', () => {
  let cluster: Cluster;
  let gateways: ServerProcess[];
  let projector: ServerProcess;
  let balancer: NginxServer;
  let crowd: ClusterCrowd;
  let keys: Readonly<Record<string, string>> = { JWT_SECRET: key() };

  beforeAll(async () => {
    cluster = await Cluster.start({ TRUSTED_PROXIES: 'loopback' });
    gateways = [await cluster.node('gateway', keys), await cluster.node('gateway', keys)];
    projector = await cluster.node('projector,worker', keys);
    balancer = await NginxServer.start(gateways.map(portOf));
    crowd = await ClusterCrowd.gather(balancer.url, 3, 2);
  }, PATIENCE_MS);
  afterAll(async () => {
    await crowd.leave();
    await balancer.stop();
    await cluster.stop();
  }, PATIENCE_MS);

  /** One at a time, each only after the one before is healthy; at the same address, as compose does. */
  const replaceGateways = async (): Promise<void> => {
    const startedAt = performance.now();
    for (const [n, old] of gateways.entries()) {
      if (n > 0) await sleep(BALANCER_LEAVES_OUT_MS);
      const PORT = String(portOf(old));
      expect(await cluster.drain(old)).toBe(0);
      gateways[n] = await cluster.node('gateway', { ...keys, PORT });
    }
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    process.stderr.write(`two gateways were replaced in ${seconds} s\n`);
  };
  const replaceProjector = async (): Promise<void> => {
    const standby = await cluster.node('projector,worker', keys);
    expect(await cluster.drain(projector)).toBe(0);
    projector = standby;
  };
  const statusWith = async (token: string): Promise<readonly number[]> => {
    const answers = gateways.map(({ url }) => call(url, 'GET', '/api/v1/users/me', { token }));
    return (await Promise.all(answers)).map(({ status }) => status);
  };

  it(
    'are replaced one at a time under load, and change the key in three rounds: nothing is lost or doubled, nobody signs in again',
    async () => {
      const [old, fresh] = [keys['JWT_SECRET'] ?? '', key()];
      const token = crowd.devices[0]?.device.token ?? '';
      crowd.talk(RATE);
      keys = { JWT_SECRET: old, JWT_SECRET_SECOND: fresh };
      await replaceGateways();
      await replaceProjector();
      expect(await statusWith(token)).toEqual([200, 200]);
      keys = { JWT_SECRET: fresh, JWT_SECRET_SECOND: old };
      await replaceGateways();
      expect(await statusWith(token)).toEqual([200, 200]);
      keys = { JWT_SECRET: fresh };
      await replaceGateways();
      expect(await statusWith(token)).toEqual([401, 401]);
      // Devices got new tokens with their refresh tokens, which no key signs.
      await crowd.settle();
      expect(await crowd.check()).toBeGreaterThan(RATE);
      for (const { lost } of crowd.devices) expect(lost).toBeGreaterThan(0);
      expect(await statusWith(crowd.devices[0]?.device.token ?? '')).toEqual([200, 200]);
    },
    PATIENCE_MS,
  );

  it('tells the gateways where a request comes from, and nobody else does', async () => {
    const account = { username: 'nobody-here', password: 'wrong wrong wrong' };
    const from = async (headers: Record<string, string>): Promise<number> => {
      const answer = await call(balancer.url, 'POST', '/api/v1/auth/login', { body: account, headers });
      return answer.status;
    };
    const statuses: number[] = [];
    // Whatever a client says of its address, nginx writes the real one.
    for (let n = 0; n < 30; n++) statuses.push(await from({ 'x-forwarded-for': `203.0.113.${n}` }));
    expect(statuses[0]).toBe(401);
    expect(statuses.at(-1)).toBe(429);
  });
});
