import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { backupStore } from '../../embedded/engine/backup';
import { checkStore, type OnChecked, type StoreContent } from '../../embedded/engine/check';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { repairStore } from '../../embedded/engine/repair';
import type { Config } from '../../src/config/config';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { ProgressBar } from './progress-bar';

/** @returns what to tell. @throws EngineError */
export async function backUp(path: string, to: string): Promise<string> {
  const target = resolve(to);
  const { events, epoch } = await withBar((onChecked) => backupStore(path, target, onChecked));
  return `backed up ${events} events of epoch ${epoch} to ${target}, and read them there`;
}

/** @returns what to tell. @throws EngineError `corrupt`, InstanceRunning */
export async function check(path: string): Promise<string> {
  const folder = resolve(path);
  const { events, head, epoch } = await withBar((onChecked) => checkStore(folder, onChecked));
  return `${folder} is whole: ${events} events up to position ${head}, epoch ${epoch}`;
}

/** @returns what to tell. @throws EngineError `corrupt`, InstanceRunning */
export async function repair(path: string): Promise<string> {
  const { events, head, epoch, kept } = await withBar((onChecked) => repairStore(path, onChecked));
  return (
    `made the index of ${path} anew from ${events} events up to position ${head}, epoch ${epoch}, and read it all; ` +
    `the file that was there is ${kept}`
  );
}

/** Of the store that a node with this configuration would use. @returns what to tell */
export async function beginEpoch(config: Config): Promise<string> {
  const { eventStoreUrls: urls, eventStoreStreamPrefix: streamPrefix } = config;
  if (urls === undefined) {
    const path = join(config.dataDir, 'events');
    const store = await EmbeddedEventStore.open({ path });
    const epoch = randomUUID();
    try {
      await store.setEpoch(epoch);
    } finally {
      await store.close();
    }
    return `${path} begins the epoch ${epoch}`;
  }
  // One is enough to give the whole log another identity; all, so that none keeps one that others may have seen.
  const epochs: string[] = [];
  for (const connectionString of urls) {
    const log = new EsdbEventLog({
      connectionString,
      ...(streamPrefix === undefined ? {} : { streamPrefix }),
    });
    try {
      epochs.push(await log.renewEpoch());
    } finally {
      await log.close();
    }
  }
  return `the event store begins the epoch ${epochs.join(', ')}; restart the nodes that use it`;
}

async function withBar<Content extends StoreContent>(
  work: (onChecked: OnChecked) => Promise<Content>,
): Promise<Content> {
  let bar: ProgressBar | undefined;
  let whole = false;
  try {
    const content = await work((done, total) => {
      bar ??= new ProgressBar('reading', total);
      bar.at(done, done);
    });
    whole = true;
    return content;
  } finally {
    bar?.end(whole);
  }
}
