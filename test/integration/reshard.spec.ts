import { randomUUID } from 'node:crypto';
import type { LogEvent } from '../../src/application/ports/event-log';
import { CHAIN_START, chainHash, eventIdOf } from '../../src/application/audit-chain';
import { toStored } from '../../src/domain/conversation/codec';
import { conversationStream, snapshotStream } from '../../src/domain/conversation/streams';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { openServerLog, type ServerLog } from '../../src/infrastructure/event-log/server-log';
import {
  arrange,
  OtherShards,
  readArrangement,
  writeArrangement,
} from '../../src/infrastructure/event-log/sharded/arrangement';
import { shardOfStream } from '../../src/infrastructure/event-log/sharded/placement';
import { toIso, type ConversationId } from '../../src/kernel/ids';
import { canonicalJson } from '../../src/kernel/json';
import { reshard } from '../../tools/eventstore/reshard/reshard';
import { eventsOf, newEvents } from '../contracts/event-log/fixture';
import { userNamed } from '../support/arbitrary-conversations';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { WrittenConversation } from '../support/written-conversation';

const CONVERSATIONS = 24;
const PREFIX = 'staging';

/** Servers are doors of our own; streams have a word before their names, as where several installations share them. */
describe('npm run eventstore -- reshard', () => {
  let doors: TestDoor[];
  let said: string[];
  let conversations: ConversationId[];
  let before: Map<string, readonly LogEvent[]>;
  let epoch: string;
  const [ann, bob] = [userNamed('ann'), userNamed('bob')];

  const urlOf = (n: number): string => `esdb://127.0.0.1:${doors[n]?.port ?? 0}?tls=false`;
  const urls = (...numbers: number[]): string[] => numbers.map(urlOf);
  const run = (from: number[], to: number[], say = (line: string): unknown => said.push(line)) =>
    reshard({ from: urls(...from), to: urls(...to), streamPrefix: PREFIX }, (line) => void say(line));
  const open = (...numbers: number[]): Promise<ServerLog> =>
    openServerLog({ urls: urls(...numbers), streamPrefix: PREFIX }, { onOthers: () => undefined });
  const using = async <T>(numbers: number[], work: (server: ServerLog) => Promise<T>): Promise<T> => {
    const server = await open(...numbers);
    try {
      return await work(server);
    } finally {
      await server.close();
    }
  };
  /** As the executor does: with the audit chain, which a copy follows. */
  const store = async ({ log }: ServerLog, { id, events }: WrittenConversation): Promise<void> => {
    let previous = CHAIN_START;
    const chained = events.map(({ seq, at, event }) => {
      const { type, data } = toStored(event);
      const link = { conversationId: id, seq, at: toIso(at), type, data: canonicalJson(data) };
      previous = chainHash(previous, link);
      return { id: eventIdOf(previous), type, data, metadata: { at: link.at, hash: previous } };
    });
    await log.append(conversationStream(id), chained, { expected: 'noStream' });
  };
  const streams = (): string[] => conversations.flatMap((id) => [conversationStream(id), snapshotStream(id)]);
  const content = ({ log }: ServerLog): Promise<Map<string, readonly LogEvent[]>> =>
    Promise.all(
      streams().map(async (stream): Promise<[string, readonly LogEvent[]]> => [
        stream,
        await eventsOf(log, stream),
      ]),
    ).then((entries) => new Map(entries));
  /** What an event is, wherever it lies. */
  const essence = ({ stream, revision, id, type, data }: LogEvent) => ({ stream, revision, id, type, data });

  beforeEach(async () => {
    [said, conversations] = [[], []];
    doors = await Promise.all([0, 1, 2].map(() => openTestDoor()));
    await using([0], async (server) => {
      for (let n = 0; n < CONVERSATIONS; n++) {
        const conversation = new WrittenConversation([ann, bob]);
        for (let k = 0; k < 5; k++) conversation.send(k % 2 === 0 ? ann : bob);
        await store(server, conversation);
        conversations.push(conversation.id);
        const snapshot = snapshotStream(conversation.id);
        await server.log.setMaxCount(snapshot, 1);
        await server.log.append(snapshot, newEvents(3, 'Snapshot'), { expected: 'any' });
      }
      before = await content(server);
      epoch = await server.log.epoch();
    });
  });
  afterEach(async () => {
    await Promise.all(doors.map((door) => door.close()));
  });

  /** All is as it was, each stream lies in its place and can be gone on with, and devices notice nothing. */
  const expectSpread = (numbers: number[]): Promise<void> =>
    using(numbers, async (server) => {
      const now = await content(server);
      for (const [stream, events] of before) {
        expect(now.get(stream)?.map(essence)).toEqual(events.map(essence));
        const door = doors[numbers[shardOfStream(stream, numbers.length)] ?? 0];
        expect(await door?.revisions(`${PREFIX}.${stream}`)).toHaveLength(events.length);
      }
      expect(await server.log.epoch()).toBe(epoch);
      const page = await server.log.readAll({ limit: 4_000, filter: { streamPrefixes: ['conversation-'] } });
      expect(page.events).toHaveLength(CONVERSATIONS * 6);
      for (const stream of streams().filter((name) => name.startsWith('snapshot-'))) {
        const result = await server.log.append(stream, newEvents(1, 'Snapshot'), {
          expected: before.get(stream)?.at(-1)?.revision ?? 'noStream',
        });
        expect(result.kind).toBe('appended');
      }
      before = await content(server);
    });

  it('spreads one store over two, and two over three, and moves no more than it has to', async () => {
    expect(await run([0], [0, 1])).toBe(true);
    await expectSpread([0, 1]);
    const moved = conversations.filter((id) => shardOfStream(conversationStream(id), 2) === 1).length;
    expect(said.join('\n')).toContain(` ${moved} audit chains: 0 differences`);
    await expect(open(0)).rejects.toThrow(OtherShards);
    expect(await run([1, 0], [2, 0, 1])).toBe(true);
    await expectSpread([0, 1, 2]);
    await expect(open(0, 1)).rejects.toThrow(OtherShards);
  });

  it('changes nothing when it is done a second time', async () => {
    await run([0], [0, 1]);
    expect(await run([0], [0, 1])).toBe(true);
    expect(said.filter((line) => line.startsWith('copied 0 events'))).toHaveLength(1);
    await expectSpread([0, 1]);
  });

  it.each(['copied', 'verified'])('goes on after it was cut off when it had %s', async (when) => {
    const cut = (line: string): void => {
      if (line.startsWith(when)) throw new Error('killed');
    };
    await expect(run([0], [0, 1], cut)).rejects.toThrow('killed');
    // Nodes still start with the list of before, and with no other.
    await using([0], async (server) => {
      expect([...(await content(server)).keys()]).toEqual([...before.keys()]);
    });
    await expect(open(0, 1)).rejects.toThrow(OtherShards);
    expect(await run([0], [0, 1])).toBe(true);
    await expectSpread([0, 1]);
  });

  it('goes on after it was cut off between telling one store and the next', async () => {
    await run([0], [0, 1]);
    await expectSpread([0, 1]);
    const logs = urls(0, 1, 2).map(
      (connectionString) => new EsdbEventLog({ connectionString, streamPrefix: PREFIX }),
    );
    const epochs = await Promise.all(logs.map((log) => log.epoch()));
    const next = arrange(epochs, epoch);
    for (const shard of [2, 1]) {
      const [log, told] = [logs[shard], next[shard]];
      if (log !== undefined && told !== undefined) await writeArrangement(log, told);
      await expect(open(0, 1, 2)).rejects.toThrow(OtherShards);
    }
    await Promise.all(logs.map((log) => log.close()));
    expect(await run([0, 1], [0, 1, 2])).toBe(true);
    await expectSpread([0, 1, 2]);
  });

  it('tells nobody of the new list when a node has written meanwhile', async () => {
    const staying = streams().find((stream) => shardOfStream(stream, 2) === 0) ?? '';
    let isOver = false;
    const writing = using([0], async ({ log }) => {
      while (!isOver) await log.append(staying, newEvents(1), { expected: 'any' });
    });
    await expect(run([0], [0, 1])).rejects.toThrow(/a node has written meanwhile: stop all nodes/);
    isOver = true;
    await writing;
    expect(await using([0], ({ log }) => readArrangement(log))).toBeUndefined();
    expect(await run([0], [0, 1])).toBe(true);
    await using([0, 1], async (server) => {
      expect((await content(server)).size).toBe(before.size);
    });
  });

  it('keeps an identity that has changed since the stores were told', async () => {
    await run([0], [0, 1]);
    const second = new EsdbEventLog({ connectionString: urlOf(1), streamPrefix: PREFIX });
    await second.renewEpoch();
    await second.close();
    epoch = await using([0, 1], (server) => server.log.epoch());
    await run([0, 1], [0, 1, 2]);
    await expectSpread([0, 1, 2]);
  });

  it('refuses lists that cannot be, in one sentence each', async () => {
    await expect(run([0], [1, 2])).rejects.toThrow(/--to must name all stores of today/);
    await expect(run([0], [0])).rejects.toThrow(/names no store that is not among those of today/);
    await expect(run([0, 1], [0, 1, 2])).rejects.toThrow(/has it been spread at all/);
    await run([0], [0, 1]);
    await expect(run([0], [0, 2])).rejects.toThrow(/is shard 1 of 2: EVENTSTORE_URL must name exactly/);
    await using([2], (server) => store(server, new WrittenConversation([ann, bob])));
    await expect(run([0, 1], [0, 1, 2])).rejects.toThrow(
      /holds conversations of its own: take an empty store/,
    );
    expect(await using([2], ({ log }) => readArrangement(log))).toBeUndefined();
    await expectSpread([0, 1]);
  });

  it('leaves alone what others keep on the same server', async () => {
    const stream = `other.conversation-${randomUUID()}`;
    await doors[0]?.store.append(
      stream,
      [{ id: randomUUID(), type: 'T', isJson: true, data: '{}', metadata: '{}' }],
      'any',
    );
    await run([0], [0, 1]);
    expect(await doors[1]?.revisions(stream)).toEqual([]);
  });
});
