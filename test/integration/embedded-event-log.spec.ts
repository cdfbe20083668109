import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import { eventLogContract } from '../contracts/event-log.contract';

eventLogContract('embedded engine', async () => {
  const path = await mkdtemp(join(tmpdir(), 'parley-log-'));
  let store = await EmbeddedEventStore.open({ path });
  return {
    log: new EmbeddedEventLog(store),
    reopen: async () => {
      await store.close();
      store = await EmbeddedEventStore.open({ path });
      return new EmbeddedEventLog(store);
    },
    close: async () => {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
});
