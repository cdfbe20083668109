import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { READ_EVENTS_MAX } from '../../embedded/engine/reader';
import type { RecordedEvent } from '../../embedded/engine/record';
import { batchOf, streamOf } from '../support/append-until-killed';
import { exitOf, startTypeScript } from '../support/typescript-child';

const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 10);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const WRITERS = 24;

interface Acknowledged {
  readonly writer: number;
  readonly n: number;
  readonly revision: number;
  readonly position: number;
}

/** Runs writers in a process of their own and kills it in the midst of them. */
async function writeAndKill(path: string, seed: number, afterMs: number): Promise<readonly Acknowledged[]> {
  const script = require.resolve('../support/append-until-killed');
  const child = startTypeScript(script, [path, String(seed), String(WRITERS)], {
    environment: { APPEND_UNTIL_KILLED: 'yes' },
    pipe: true,
  });
  let output = '';
  const begun = new Promise<void>((resolve) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      resolve();
    });
  });
  const exit = exitOf(child);
  await Promise.race([begun, exit]);
  await sleep(afterMs);
  child.kill('SIGKILL');
  expect(await exit).toBe('SIGKILL');
  // The last line may have been cut off: what it says then was not heard.
  const lines = output.slice(0, output.lastIndexOf('\n')).split('\n');
  return lines.map((line) => {
    const [writer, n, revision, position] = line.split(' ').map(Number) as [number, number, number, number];
    return { writer, n, revision, position };
  });
}

async function eventsOf(store: EmbeddedEventStore, stream: string): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for (;;) {
    const page = await store.readStream(stream, { from: events.length, limit: READ_EVENTS_MAX });
    if (page.kind !== 'events') return events;
    events.push(...page.events);
    if (!page.more) return events;
  }
}

/** Every acknowledged batch is in its place; each batch is there wholly or not at all, in the writer's order. */
async function check(store: EmbeddedEventStore, seed: number, heard: readonly Acknowledged[]): Promise<void> {
  for (let writer = 0; writer < WRITERS; writer++) {
    const stored = await eventsOf(store, streamOf(writer));
    expect(stored.map(({ revision }) => revision)).toEqual(stored.map((_, n) => n));
    const ends = new Map<number, number>();
    let at = 0;
    for (let n = 0; at < stored.length; n++) {
      const ids = batchOf(seed, writer, n);
      expect(stored.slice(at, at + ids.length).map(({ id }) => id)).toEqual(ids);
      at += ids.length;
      ends.set(n, at - 1);
    }
    for (const { n, revision, position } of heard.filter((line) => line.writer === writer)) {
      expect(ends.get(n)).toBe(revision);
      expect(stored[revision]?.position).toBe(position);
    }
  }
}

/** The log as a whole has no hole, and every stream's events in the order of their revisions. */
async function checkLog(store: EmbeddedEventStore): Promise<void> {
  const revisions = new Map<string, number>();
  let after = -1;
  for (let position = 0; ;) {
    const page = await store.readAll({ after, limit: READ_EVENTS_MAX });
    for (const event of page.events) {
      expect(event.position).toBe(position++);
      expect(event.revision).toBe((revisions.get(event.stream) ?? -1) + 1);
      revisions.set(event.stream, event.revision);
    }
    after = page.next;
    if (page.endOfLog) return;
  }
}

describe(`the engine killed with -9 (SEED=${SEED})`, () => {
  it(`keeps every acknowledged event in its place, ${ROUNDS} times`, async () => {
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const path = await mkdtemp(join(tmpdir(), 'parley-kill-'));
      const seed = SEED + round;
      const heard = await writeAndKill(path, seed, 20 + ((seed * 7_919) % 600));
      acknowledged += heard.length;
      const store = await EmbeddedEventStore.open({ path });
      await check(store, seed, heard);
      await checkLog(store);
      // It goes on where it stopped.
      const outcome = await store.append('after', [], 'any');
      expect(outcome).toMatchObject({ kind: 'appended', revision: -1 });
      await store.close();
      await rm(path, { recursive: true, force: true });
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS * WRITERS);
  }, 600_000);
});
