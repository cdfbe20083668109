import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { LIVE_PROJECTIONS } from '../../projections/live';
import { rebuild, RebuildFailed, type RebuiltModel } from '../../projections/rebuild/rebuild';
import { readCheckpoints } from '../../projections/runner/checkpoints';
import { ConfigurationError, loadConfig } from '../../src/config/load-config';
import { SystemClock } from '../../src/kernel/clock';
import { formatPosition } from '../../src/kernel/position';
import { loggerOptions } from '../../src/observability/logging';
import { openStores, type Stores } from '../../src/stores';
import { verifyStores } from '../verify/verify-stores';
import { modelOf, parseCommand, USAGE, type Command } from './arguments';
import { RebuildLine } from './rebuild-line';

const EXIT_USAGE = 64;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** @returns whether all is as it should be */
async function run(command: Command): Promise<boolean> {
  const log = pino(loggerOptions('warn'));
  const stores = await openStores(loadConfig(process.env), log);
  try {
    switch (command.kind) {
      case 'status':
        return await tellStatus(stores);
      case 'verify':
        stores.startProjector();
        return await verifyStores(stores, say);
      case 'rebuild': {
        stores.startProjector();
        return await rebuildAll(stores, command, log);
      }
    }
  } finally {
    await stores.close();
  }
}

async function tellStatus({ eventLog, database }: Stores): Promise<boolean> {
  const head = await eventLog.head();
  say(`log         ${formatPosition(head)}`);
  const names = LIVE_PROJECTIONS.map(({ name }) => name);
  for (const [name, position] of await readCheckpoints(database, names)) {
    say(`${name.padEnd(11)} ${formatPosition(position)}`);
  }
  return true;
}

async function rebuildAll(
  { eventLog, database }: Stores,
  { projections, replaceDifferent }: Extract<Command, { kind: 'rebuild' }>,
  log: pino.Logger,
): Promise<boolean> {
  const line = new RebuildLine(projections.map(modelOf).join(' + '));
  const { events, models } = await rebuild({
    eventLog,
    database,
    projections,
    replaceDifferent,
    clock: new SystemClock(),
    log,
    owner: `${hostname()}/${process.pid}/${randomUUID()}`,
    onProgress: (progress) => {
      line.show(progress);
    },
  }).finally(() => {
    line.end();
  });
  for (const model of models) sayModel(model, events);
  return models.every(({ swapped }) => swapped);
}

function sayModel({ name, tables, swapped }: RebuiltModel, events: number): void {
  for (const { table, liveRows, rebuiltRows, equal } of tables) {
    const rows =
      liveRows === rebuiltRows ? `${liveRows} rows` : `${liveRows} rows live, ${rebuiltRows} rebuilt`;
    say(`${equal ? 'equal  ' : 'DIFFERS'} ${table}, ${rows}`);
  }
  say(
    swapped
      ? `${name}: ${events} events, swapped in`
      : `${name}: the live tables differ from the log and were left in place; see --replace-different`,
  );
}

const command = parseCommand(process.argv.slice(2));
if (command === undefined) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = EXIT_USAGE;
} else {
  run(command).then(
    (good) => {
      process.exitCode = good ? 0 : 1;
    },
    (error: unknown) => {
      const known = error instanceof ConfigurationError || error instanceof RebuildFailed;
      const isTold = known || (error as Error).name === 'InstanceRunning';
      process.stderr.write(
        `${isTold ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`,
      );
      process.exitCode = 1;
    },
  );
}
