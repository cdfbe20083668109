import pino from 'pino';
import { verifyReadModels } from '../../projections/verify';
import { ConfigurationError, loadConfig } from '../../src/config/load-config';
import { loggerOptions } from '../../src/observability/logging';
import { openStores } from '../../src/stores';
import { chainCheck } from './chain-check';

/** How long read models that are behind may take to have what the log has. */
const CATCH_UP_TIMEOUT_MS = 600_000;
const PROGRESS_MS = 500;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Follows the audit chains, folds the log with the domain code and compares the read models with it. @returns whether they are equal */
async function run(): Promise<boolean> {
  const stores = await openStores(loadConfig(process.env), pino(loggerOptions('warn')));
  try {
    stores.startProjector();
    const head = await stores.eventLog.head();
    if (!(await stores.progress.waitForPosition(head, CATCH_UP_TIMEOUT_MS))) {
      say(`The read models did not catch up within ${CATCH_UP_TIMEOUT_MS / 1_000} s.`);
      return false;
    }
    const startedAt = performance.now();
    let shownAt = startedAt;
    const { eventLog, database } = stores;
    const verification = await verifyReadModels({
      eventLog,
      database,
      streamCheck: chainCheck,
      onProgress: ({ conversations, events }) => {
        if (performance.now() - shownAt < PROGRESS_MS) return;
        shownAt = performance.now();
        const perSecond = Math.round((events * 1_000) / (shownAt - startedAt));
        process.stderr.write(`\r${conversations} conversations, ${events} events, ${perSecond}/s `);
      },
    });
    process.stderr.write('\r');
    for (const difference of verification.differences) say(`differs: ${difference}`);
    const { conversations, events, facts, differenceCount } = verification;
    say(`${conversations} conversations, ${events} events, ${facts} facts: ${differenceCount} differences`);
    return differenceCount === 0;
  } finally {
    await stores.close();
  }
}

run().then(
  (equal) => {
    process.exitCode = equal ? 0 : 1;
  },
  (error: unknown) => {
    const isTold = error instanceof ConfigurationError || (error as Error).name === 'InstanceRunning';
    const text = isTold ? (error as Error).message : ((error as Error).stack ?? String(error));
    process.stderr.write(`The verification stopped: ${text}\n`);
    process.exitCode = 1;
  },
);
