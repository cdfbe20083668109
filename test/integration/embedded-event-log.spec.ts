import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import { ShardedEventLog } from '../../src/infrastructure/event-log/sharded/sharded-event-log';
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

eventLogContract('two shards of the embedded engine', async () => {
  const path = await mkdtemp(join(tmpdir(), 'parley-shards-'));
  const open = () =>
    Promise.all(['a', 'b'].map((shard) => EmbeddedEventStore.open({ path: join(path, shard) })));
  let stores = await open();
  const closeAll = () => Promise.all(stores.map((store) => store.close()));
  const logOf = () =>
    new ShardedEventLog(
      stores.map((store) => new EmbeddedEventLog(store)),
      { epoch: () => Promise.resolve(stores.map(({ epoch }) => epoch).join()) },
    );
  return {
    log: logOf(),
    reopen: async () => {
      await closeAll();
      stores = await open();
      return logOf();
    },
    close: async () => {
      await closeAll();
      await rm(path, { recursive: true, force: true });
    },
  };
});
