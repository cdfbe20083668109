import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';

const WRITERS = 200;
const STREAMS = 10_000;
const EVENTS_PER_APPEND = 100;

interface LargeStoreFigures {
  readonly events: number;
  readonly fileBytes: number;
  /** Until the store answers, after it was closed in order, in milliseconds. */
  readonly openMs: number;
  /** Bytes of this process' own heap and buffers, at the fewest and at the most events; file pages are the system's. */
  readonly memoryBefore: number;
  readonly memoryAfter: number;
}

/** Fills a store, closes it and opens it again. */
export async function measureLargeStore(events: number): Promise<LargeStoreFigures> {
  const path = await mkdtemp(join(tmpdir(), 'parley-bench-large-'));
  try {
    const filling = await EmbeddedEventStore.open({ path });
    await fill(filling, Math.ceil(events / 10));
    const memoryBefore = ownMemory();
    await fill(filling, events);
    const memoryAfter = ownMemory();
    await filling.close();
    const begin = performance.now();
    const store = await EmbeddedEventStore.open({ path });
    const page = await store.readAll({ direction: 'backwards', limit: 1 });
    const openMs = performance.now() - begin;
    const stored = (page.events[0]?.position ?? -1) + 1;
    await store.close();
    const { blocks } = await stat(join(path, 'data.mdb'));
    return { events: stored, fileBytes: blocks * 512, openMs, memoryBefore, memoryAfter };
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function fill(store: EmbeddedEventStore, until: number): Promise<void> {
  let begun = store.head + 1;
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; begun < until; n++) {
      begun += EVENTS_PER_APPEND;
      const events = Array.from({ length: EVENTS_PER_APPEND }, () => ({
        id: randomUUID(),
        type: 'MessageSent',
        isJson: true,
        data: `{"body":"${'x'.repeat(64)}"}`,
        metadata: '{"schemaVersion":1}',
      }));
      const stream = `conversation-${(n * WRITERS + writer) % STREAMS}`;
      await store.append(stream, events, 'any');
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
}

function ownMemory(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
