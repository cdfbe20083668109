import pino from 'pino';
import { ConfigurationError, loadConfig } from '../../src/config/load-config';
import { loggerOptions } from '../../src/observability/logging';
import { openStores } from '../../src/stores';
import { verifyStores } from './verify-stores';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** @returns whether the read models are equal to the log */
async function run(): Promise<boolean> {
  const stores = await openStores(loadConfig(process.env), pino(loggerOptions('warn')));
  try {
    stores.startProjector();
    return await verifyStores(stores, say);
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
