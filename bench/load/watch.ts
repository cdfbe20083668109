import { usageOf, type Usage } from './processes';

/** What the server and the generator used while `work` ran. */
export interface Used {
  readonly seconds: number;
  readonly server: Usage;
  readonly generatorUs: number;
}

export async function watching(pid: number, work: () => Promise<void>): Promise<Used> {
  const before = usageOf(pid);
  const own = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(own);
  const after = usageOf(pid);
  return {
    seconds,
    generatorUs: user + system,
    server: {
      ...after,
      nodeUs: after.nodeUs - before.nodeUs,
      mainThreadUs: after.mainThreadUs - before.mainThreadUs,
      postgresUs: after.postgresUs - before.postgresUs,
    },
  };
}

/** CPU by kind of process, for each of `count` messages or whatever `unit` says, and memory. */
export function costs(
  { seconds, server, generatorUs }: Used,
  count: number,
  unit = 'message',
): Record<string, number> {
  const each = Math.max(1, count);
  return {
    [`node CPU µs/${unit}`]: server.nodeUs / each,
    [`main thread µs/${unit}`]: server.mainThreadUs / each,
    [`postgres CPU µs/${unit}`]: server.postgresUs / each,
    'server CPU cores': (server.nodeUs + server.postgresUs) / 1e6 / seconds,
    'generator CPU cores': generatorUs / 1e6 / seconds,
    'node RSS MB': server.nodeBytes / 1e6,
  };
}
