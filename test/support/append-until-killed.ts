import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { uuidv5 } from '../../src/kernel/uuid';

const NAMESPACE = '0d0c4f0e-51a5-5cf4-8f6e-0a7f9a6f5a11';

/** What writer `writer` appends as its `n`-th batch: the same whenever it is asked, so that it can be checked. */
export function batchOf(seed: number, writer: number, n: number): readonly string[] {
  const size = 1 + ((seed + writer * 7 + n * 13) % 4);
  return Array.from({ length: size }, (_, k) => uuidv5(`${seed}/${writer}/${n}/${k}`, NAMESPACE));
}

export const streamOf = (writer: number): string => `killed-${writer}`;

/**
 * Appends from many writers as fast as it goes, and reports what was acknowledged on its standard output,
 * by a write that is complete before the next append is handed over: what the pipe has was acknowledged.
 */
async function appendUntilKilled(path: string, seed: number, writers: number): Promise<void> {
  const { writeSync } = await import('node:fs');
  const store = await EmbeddedEventStore.open({ path, unindexedEventsMax: 100 });
  const work = async (writer: number): Promise<void> => {
    let expected: number | 'noStream' = 'noStream';
    for (let n = 0; ; n++) {
      const events = batchOf(seed, writer, n).map((id) => {
        const data = JSON.stringify({ writer, n, filling: 'x'.repeat((n * 37) % 700) });
        return { id, type: 'Tested', isJson: true, data, metadata: '' };
      });
      const outcome = await store.append(streamOf(writer), events, expected);
      if (outcome.kind !== 'appended') throw new Error(outcome.kind);
      writeSync(1, `${writer} ${n} ${outcome.revision} ${outcome.position}\n`);
      expected = outcome.revision;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => work(writer)));
}

if (process.env['APPEND_UNTIL_KILLED'] === 'yes') {
  const [, , path, seed, writers] = process.argv as [string, string, string, string, string];
  void appendUntilKilled(path, Number(seed), Number(writers));
}
