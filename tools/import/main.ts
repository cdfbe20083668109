import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { InstanceRunning } from '../../embedded/instance-lock';
import { Executor } from '../../src/application/executor';
import { ConfigurationError, loadConfig } from '../../src/config/load-config';
import { Accounts } from '../../src/identity/accounts';
import { LoginAttempts } from '../../src/identity/login-attempts';
import { PasswordHasher } from '../../src/identity/password-hasher';
import { PostgresInboxReads } from '../../src/infrastructure/postgres/inbox-reads';
import { PostgresMessageIndex } from '../../src/infrastructure/postgres/message-index';
import { SystemClock } from '../../src/kernel/clock';
import { loggerOptions } from '../../src/observability/logging';
import { MemoryRateLimits } from '../../src/infrastructure/memory/memory-rate-limits';
import { Metrics } from '../../src/observability/metrics';
import { openStores, type Stores } from '../../src/stores';
import { importArguments, USAGE, WrongArguments, type ImportArguments } from './arguments';
import { ProgressLine } from './progress-line';
import { PostgresImportProgress } from './progress-store';
import { Import, type ImportTarget } from './run-import';
import { ImportStalled } from './stepper';
import { ImportSummary } from './summary';
import { differences } from './verify';

/** How long `--verify` waits for the read models to have what was imported. */
const CATCH_UP_TIMEOUT_MS = 600_000;
const REPORT_FILE = 'import-report.tsv';
const EXIT_USAGE = 64;

type Configuration = ReturnType<typeof loadConfig>;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Whatever runs once however often it is called. */
function once(run: () => void): () => void {
  let hasRun = false;
  return () => {
    if (!hasRun) run();
    hasRun = true;
  };
}

function targetOn(
  stores: Stores,
  executor: Executor,
  config: Configuration,
  project: () => void,
): ImportTarget {
  const clock = new SystemClock();
  const accounts = new Accounts(
    stores.database,
    new PasswordHasher(new Metrics()),
    new LoginAttempts(new MemoryRateLimits(), config),
    clock,
  );
  return {
    eventLog: stores.eventLog,
    execute: (command, context) => executor.execute(command, context),
    importUsers: (users) => accounts.importUsers(users),
    progress: new PostgresImportProgress(stores.database),
    clock,
    membersMax: config.limits.membersMax,
    // A key older than its window waits for the permanent index, and that for the projector.
    unavailable: project,
  };
}

async function verified(
  stores: Stores,
  imported: Awaited<ReturnType<Import['run']>>,
  project: () => void,
): Promise<boolean> {
  project();
  say('Waiting for the read models.');
  const passed = await stores.progress.waitForPosition(await stores.eventLog.head(), CATCH_UP_TIMEOUT_MS);
  if (!passed) {
    say(`The read models did not catch up within ${CATCH_UP_TIMEOUT_MS / 1_000} s.`);
    return false;
  }
  const found = await differences(new PostgresInboxReads(stores.database), imported);
  for (const sentence of found) say(`differs: ${sentence}`);
  if (found.length === 0) say(`Verified: ${imported.length} conversations hold what their files hold.`);
  return found.length === 0;
}

async function run(options: ImportArguments, config: Configuration): Promise<boolean> {
  const stores = await openStores(config, pino(loggerOptions('warn')));
  const executor = new Executor(stores.eventLog, new PostgresMessageIndex(stores.database));
  const project = once(() => {
    stores.startProjector();
  });
  const summary = new ImportSummary();
  const line = new ProgressLine('messages');
  const startedAt = performance.now();
  try {
    const target = targetOn(stores, executor, config, project);
    const observer = {
      total: (messages: number) => {
        line.start(messages);
      },
      message: () => {
        line.tick();
      },
    };
    const imported = await new Import(target, summary, observer).run(options);
    line.stop();
    say(summary.text(performance.now() - startedAt));
    const report = options.report ?? join(config.dataDir, REPORT_FILE);
    await writeFile(report, summary.report());
    say(`Every skipped and bad line: ${report}`);
    return !options.verify || (await verified(stores, imported, project));
  } finally {
    line.stop();
    await executor.close();
    await stores.close();
  }
}

/** @returns the exit code */
async function main(): Promise<number> {
  try {
    const options = await importArguments(process.argv.slice(2));
    return (await run(options, loadConfig(process.env))) ? 0 : 1;
  } catch (error) {
    if (error instanceof WrongArguments) {
      process.stderr.write(`${error.message}\n\n${USAGE}\n`);
      return EXIT_USAGE;
    }
    const isTold =
      error instanceof InstanceRunning ||
      error instanceof ImportStalled ||
      error instanceof ConfigurationError;
    process.stderr.write(`The import stopped: ${isTold ? error.message : String((error as Error).stack)}\n`);
    process.stderr.write('What it did is kept: run it again, and it goes on from there.\n');
    return 1;
  }
}

void main().then((code) => {
  process.exitCode = code;
});
