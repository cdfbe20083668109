import 'reflect-metadata';
import { pino, type Logger } from 'pino';
import type { Config } from './config/config';
import { loadConfig } from './config/load-config';
import { loggerOptions } from './observability/logging';
import { startNode, type RunningNode } from './node';
import { EXIT_CONFIGURATION, startFailure } from './start-failure';
import { startTracing, type Tracing } from './tracing';

/** A drain that takes longer is cut off: an orchestrator would kill us anyway, without a word. */
const STOP_TIMEOUT_MS = 25_000;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

function announce(config: Config, node: RunningNode, startedAt: number): void {
  if (!config.rateLimits) complain('WARNING: RATE_LIMITS=off: nothing protects this node from a flood.');
  say(`Parley is up after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s.`);
  say(`  roles         ${[...config.roles].join(', ')}`);
  if (config.roles.has('gateway')) {
    say(`  web client    ${node.url}/`);
    say(`  REST          ${node.url}/api/v1    described at ${node.url}/api/docs`);
    say(
      `  WebSocket     ${node.url.replace(/^http/, 'ws')}/ws    described at ${node.url}/api/asyncapi.json`,
    );
  }
  say(`  health        ${node.url}/health/ready    metrics at ${node.url}/metrics`);
  say(`  event store   ${node.places.eventStore}`);
  say(`  PostgreSQL    ${node.places.postgres}`);
  if (config.roles.has('gateway') || config.roles.has('relay')) say(`  Redis         ${node.places.redis}`);
}

async function stop(node: RunningNode, tracing: Tracing | undefined, why: string | Error): Promise<void> {
  if (typeof why === 'string') say(`${why}: draining.`);
  else complain(`Parley cannot go on: ${why.message}.`);
  setTimeout(() => {
    complain(`Not drained within ${STOP_TIMEOUT_MS / 1_000} s; leaving.`);
    process.exit(1);
  }, STOP_TIMEOUT_MS).unref();
  await node.stop();
  await tracing?.stop();
  say('Stopped.');
  process.exit(typeof why === 'string' ? 0 : EXIT_CONFIGURATION);
}

/** A bug that nobody caught: Node would print the error with all its properties, and what they quote. */
function endOnBugs(log: Logger): void {
  const end = (error: unknown): void => {
    log.fatal({ err: error }, 'a bug ends this process');
    process.exit(1);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}

async function main(): Promise<void> {
  const startedAt = performance.now() - process.uptime() * 1_000;
  const config = loadConfig(process.env);
  endOnBugs(pino(loggerOptions(config.logLevel), pino.destination({ dest: 1, sync: true })));
  // Before the first store is open: a signal during the start must not leave Postgres behind.
  const signal = new Promise<NodeJS.Signals>((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
  const tracing = config.tracesEndpoint === undefined ? undefined : startTracing(process.env);
  const node = await startNode(config);
  announce(config, node, startedAt);
  await stop(node, tracing, await Promise.race([signal, node.failed]));
}

main().catch((error: unknown) => {
  const failure = startFailure(error);
  if (failure !== undefined) {
    complain(`Parley cannot start:${failure.reason}`);
    process.exit(failure.exitCode);
  }
  complain(`Parley cannot start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
});
