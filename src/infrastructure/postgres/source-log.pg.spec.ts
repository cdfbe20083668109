import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { EventLogUnavailable } from '../../application/ports/event-log';
import { conversationStream } from '../../domain/conversation/streams';
import { asConversationId, asEventId } from '../../kernel/ids';
import { ReadModelsSource } from '../../read-models-source';
import { ShardedEventLog } from '../event-log/sharded/sharded-event-log';
import { MemoryEventLog } from '../memory/memory-event-log';
import { bindToLog } from './source-log';

class NumberedLog extends MemoryEventLog {
  constructor(public word: string) {
    super();
  }
  override numbering(): Promise<string> {
    return this.word === 'away'
      ? Promise.reject(new EventLogUnavailable('away'))
      : Promise.resolve(this.word);
  }
}

const spread = (...words: readonly string[]): ShardedEventLog =>
  new ShardedEventLog(
    words.map((word) => new NumberedLog(word)),
    { epoch: () => Promise.resolve('one') },
  );

describe('the log that read models are made from', () => {
  const id = asConversationId(randomUUID());
  let test: TestDatabase;
  let log: NumberedLog;

  beforeEach(async () => {
    test = await createTestDatabase();
    log = new NumberedLog('a');
    const event = () => ({ id: asEventId(randomUUID()), type: 'MessageSent', data: {}, metadata: {} });
    await log.append(conversationStream(id), [event(), event()], { expected: 'noStream' });
  });
  afterEach(() => test.drop());

  const project = (): Promise<unknown> =>
    test.database.query(`INSERT INTO read.checkpoints VALUES ('inbox/v1', '7', 7, 7)`);
  const isThere = async (): Promise<boolean> =>
    (await test.database.query('SELECT FROM read.checkpoints')).length === 1;

  it('is kept with them, and they with it', async () => {
    await project();
    expect(await bindToLog(test.database, log)).toEqual({ kind: 'first' });
    expect(await bindToLog(test.database, log)).toEqual({ kind: 'same' });
    expect(await isThere()).toBe(true);
  });

  it('makes them anew when it is another one, once, however many nodes notice', async () => {
    await bindToLog(test.database, log);
    await project();
    log.word = 'b';
    const bindings = await Promise.all([1, 2, 3].map(() => bindToLog(test.database, log)));
    expect(bindings.map(({ kind }) => kind).toSorted()).toEqual(['anew', 'same', 'same']);
    expect(bindings).toContainEqual({ kind: 'anew', before: 'a' });
    expect(await isThere()).toBe(false);
  });

  it('keeps them when a shard is added, and not when one is another', async () => {
    log.word = 'a b';
    await bindToLog(test.database, log);
    await project();
    log.word = 'b a c';
    expect(await bindToLog(test.database, log)).toEqual({ kind: 'same' });
    expect(await isThere()).toBe(true);
    log.word = 'a x c';
    expect(await bindToLog(test.database, log)).toEqual({ kind: 'anew', before: 'b a c' });
    expect(await isThere()).toBe(false);
  });

  it('changes nothing while it cannot be asked', async () => {
    await bindToLog(test.database, log);
    await project();
    log.word = 'away';
    await expect(bindToLog(test.database, log)).rejects.toThrow(EventLogUnavailable);
    expect(await isThere()).toBe(true);
  });

  it('forgets what was hidden beyond its end, and which files were imported', async () => {
    await bindToLog(test.database, log);
    for (const seq of [0, 1, 2, 9])
      await test.database.query('INSERT INTO app.hidden_messages VALUES (gen_random_uuid(), $1, $2)', [
        id,
        seq,
      ]);
    await test.database.query(
      'INSERT INTO app.hidden_messages VALUES (gen_random_uuid(), gen_random_uuid(), 0)',
    );
    await test.database.query(
      `INSERT INTO app.import_progress VALUES (gen_random_uuid(), 'f', 'd', gen_random_uuid(), 3)`,
    );
    log.word = 'b';
    await bindToLog(test.database, log);
    const rows = await test.database.query<{ seq: string }>('SELECT seq FROM app.hidden_messages ORDER BY 1');
    expect(rows.map(({ seq }) => seq)).toEqual(['0', '1']);
    expect(await test.database.query('SELECT FROM app.import_progress')).toEqual([]);
  });

  it('is asked again until it answers, and a start does not wait for that', async () => {
    await bindToLog(test.database, log);
    await project();
    log.word = 'away';
    const warnings: string[] = [];
    const warn = (_: object, message: string): void => {
      warnings.push(message);
    };
    const source = new ReadModelsSource(test.database, log, { warn });
    await source.settled();
    expect(warnings).toEqual([]);
    log.word = 'b';
    await source.bound;
    expect(warnings).toEqual([expect.stringContaining('they are made anew')]);
    expect(await isThere()).toBe(false);
  });

  it('may be known by the shards that are there, when all of those are known', async () => {
    const unbound = new ReadModelsSource(test.database, spread('a', 'away'), { warn: () => undefined });
    log.word = 'a b';
    const settled = async (source: ReadModelsSource): Promise<unknown> =>
      Promise.race([source.bound.then(() => 'bound'), sleep(1_500, 'not bound', { ref: false })]);
    expect(await settled(unbound)).toBe('not bound');
    unbound.end();
    await bindToLog(test.database, log);
    await project();
    for (const [shards, outcome] of [
      [['b', 'away'], 'bound'],
      [['x', 'away'], 'not bound'],
      [['away', 'away'], 'not bound'],
    ] as const) {
      const source = new ReadModelsSource(test.database, spread(...shards), { warn: () => undefined });
      expect(await settled(source)).toBe(outcome);
      source.end();
    }
    expect(await isThere()).toBe(true);
  });

  it('is not asked any more when the node ends', async () => {
    log.word = 'away';
    const source = new ReadModelsSource(test.database, log, { warn: () => undefined });
    source.end();
    await expect(Promise.race([source.bound, sleep(2_500, 'not bound')])).resolves.toBe('not bound');
    log.word = 'b';
  });
});
