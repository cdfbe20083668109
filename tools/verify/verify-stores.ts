import { verifyReadModels } from '../../projections/verify';
import type { Stores } from '../../src/stores';
import { chainCheck } from './chain-check';

/** How long read models that are behind may take to have what the log has. */
const CATCH_UP_TIMEOUT_MS = 600_000;
const PROGRESS_MS = 500;

/**
 * Follows the audit chains, folds the log with the domain code and compares the read models with it, telling the
 * progress on stderr and each difference to `say`. A projector must be running. @returns whether they are equal
 */
export async function verifyStores(
  { eventLog, database, progress }: Pick<Stores, 'eventLog' | 'database' | 'progress'>,
  say: (text: string) => void,
): Promise<boolean> {
  const head = await eventLog.head();
  if (!(await progress.waitForPosition(head, CATCH_UP_TIMEOUT_MS))) {
    say(`The read models did not catch up within ${CATCH_UP_TIMEOUT_MS / 1_000} s.`);
    return false;
  }
  const startedAt = performance.now();
  let shownAt = startedAt;
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
}
