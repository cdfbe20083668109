import { setTimeout as sleep } from 'node:timers/promises';
import { connectAll } from '../load/crowd';
import { usageOf } from '../load/processes';
import { idleNodes } from './idle-nodes';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

/** After which a server that has nothing to do has let go of what it needs for opening sockets alone. */
const REST_MS = 20_000;
const SOCKETS = [1_000, 10_000] as const;
const SOCKETS_QUICK = [500, 2_000] as const;

/** Authenticated sockets that do nothing: what each of them costs. */
async function idle({ quick, startServer }: Surroundings, sockets: number): Promise<Metrics> {
  const server = await startServer();
  const people = await server.people(sockets);
  await sleep(quick ? 2_000 : 10_000);
  const before = usageOf(server.pid).nodeBytes;
  const startedAt = performance.now();
  const devices = await connectAll(server.port, people, {});
  const seconds = (performance.now() - startedAt) / 1_000;
  const opened = usageOf(server.pid).nodeBytes;
  await sleep(quick ? 5_000 : REST_MS);
  const rested = usageOf(server.pid);
  for (const device of devices) device.destroy();
  return {
    sockets,
    'node RSS MB before': before / 1e6,
    'node RSS MB': rested.nodeBytes / 1e6,
    'MB for all sockets': (rested.nodeBytes - before) / 1e6,
    'KB/socket at once': (opened - before) / 1e3 / sockets,
    'KB/socket at rest': (rested.nodeBytes - before) / 1e3 / sockets,
    'sockets opened/s': sockets / seconds,
  };
}

export const idleOf = (sockets: number): Case => ({
  name: `idle ${sockets}`,
  run: (surroundings) => idle(surroundings, sockets),
});

export const idleScenario: Scenario = {
  name: 'idle',
  about: 'authenticated sockets that do nothing: memory for each, in one process and in several (--sockets)',
  cases: [
    ...SOCKETS.map((sockets, n) => ({
      name: `idle ${sockets}`,
      run: (surroundings: Surroundings): Promise<Metrics> =>
        idle(surroundings, surroundings.quick ? (SOCKETS_QUICK[n] ?? sockets) : sockets),
    })),
    { name: 'idle, several processes', run: idleNodes },
  ],
};
