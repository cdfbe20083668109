import { existsSync } from 'node:fs';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireInstanceLock } from '../instance-lock';
import { checkLocked, type OnChecked, type StoreContent } from './check';
import { checkDataFile } from './data-file';
import { EngineError } from './errors';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import { Storage } from './storage';
import { StreamIndex } from './stream-index';

/** Records of one transaction. */
const PAGE_RECORDS = 1_024;
const DATA_FILE = 'data.mdb';

export interface Repair extends StoreContent {
  /** Where the file is that was there before. */
  readonly kept: string;
}

/**
 * Makes a store anew from its records, in their places and in the same epoch: everything else in it (the index, the
 * streams' rows) follows from them. The new file is read to its end before it takes the old one's place, which is
 * kept beside it. Stopped anywhere, it leaves the store as it was.
 *
 * @throws EngineError `corrupt` when the records themselves are damaged; InstanceRunning
 */
export async function repairStore(path: string, onChecked: OnChecked): Promise<Repair> {
  const lock = await acquireInstanceLock(path);
  try {
    const side = join(path, 'repaired');
    await rm(side, { recursive: true, force: true });
    await mkdir(side);
    checkDataFile(path, 'records');
    const source = Storage.open(path, { readOnly: true });
    const target = Storage.open(side);
    try {
      await new Rebuilding(source, target).run();
    } finally {
      await source.close();
      await target.close();
    }
    const content = await checkLocked(side, onChecked);
    const kept = freeName(join(path, `${DATA_FILE}.damaged`));
    await link(join(path, DATA_FILE), kept);
    await rename(join(side, DATA_FILE), join(path, DATA_FILE));
    await synced(path);
    await rm(side, { recursive: true, force: true });
    return { ...content, kept };
  } finally {
    await lock.release();
  }
}

class Rebuilding {
  private readonly index: StreamIndex;
  private waiting: RecordedEvent[] = [];

  constructor(
    private readonly source: Storage,
    private readonly target: Storage,
  ) {
    this.index = new StreamIndex(target, 0);
  }

  async run(): Promise<void> {
    await this.target.takeIdentity(this.source);
    this.index.restore();
    const head = this.source.lastPosition();
    for (let next = 0; next <= head;) {
      const page = [...this.source.records(next, head, PAGE_RECORDS)];
      for (const event of page) await this.add(event);
      await this.store();
      const last = page.at(-1);
      if (last === undefined) return;
      next = last.position + 1;
    }
  }

  private async add(event: RecordedEvent): Promise<void> {
    const state = this.index.find(event.stream);
    const isNext = state === undefined || event.revision === state.head + 1;
    if (!isNext && event.type !== TOMBSTONE_TYPE) {
      if (event.revision <= state.head)
        throw new EngineError(
          'corrupt',
          `the record at position ${event.position} has a revision of an earlier one`,
        );
      // What waits is taken for adjacent revisions; some were scavenged here.
      await this.store();
    }
    this.waiting.push(event);
    this.index.account(event);
  }

  private async store(): Promise<void> {
    const events = this.waiting;
    const last = events.at(-1);
    if (last === undefined) return;
    this.waiting = [];
    const payment = this.index.payment(PAGE_RECORDS, last.position + 1);
    await this.target.commit(() => {
      for (const { position, stored } of events) this.target.appendRecord(position, stored);
      payment?.write();
    });
    payment?.done();
  }
}

/** The first of `name`, `name-2`, `name-3` … that nothing has. */
function freeName(name: string): string {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name}-${n}`;
    if (!existsSync(candidate)) return candidate;
  }
}

async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
