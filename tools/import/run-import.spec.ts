import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Executor } from '../../src/application/executor';
import { fromStored } from '../../src/domain/conversation/codec';
import type { ConversationEvent, MessageSent } from '../../src/domain/conversation/events';
import { conversationStream } from '../../src/domain/conversation/streams';
import type { ImportedUser } from '../../src/identity/accounts';
import { FaultyEventLog } from '../../src/infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../../src/infrastructure/memory/memory-message-index';
import { SystemClock } from '../../src/kernel/clock';
import { toSeq, type ConversationId } from '../../src/kernel/ids';
import { birthOf } from '../../src/kernel/uuid';
import { conversationIdOf, IMPORTER_ID, nickId } from './keys';
import type { FinishedFile, ImportProgress } from './progress-store';
import { Import } from './run-import';
import { ImportSummary } from './summary';

const LOG = [
  '=== ann [n=ann@h]  has joined #ubuntu',
  '[11:58] <ann> anybody here?',
  '[11:58] <bob> I am',
  '=== ann is now known as ann_away',
  '=== bob [n=bob@h]  has left #ubuntu []',
  '[12:01] <ann_away> gone',
  '=== bob [n=bob@h]  has joined #ubuntu',
  '[12:02] <bob> ann_away: back',
  '=== stranger [n=s@h]  has left #ubuntu []',
  '=== ann_away was kicked off #ubuntu by bob (away nick)',
  '=== bob growls',
  'nonsense',
  '[12:03] <bob>',
  '=== ann_away is now known as ann',
  '[12:04]  * ann waves',
].join('\n');
const ANNOTATION = '1 1 -\n1 2 -\n5 7 -\n1 7 -\n4 12 -\nwhat\n';
const NAME = '2004-12-25.raw.txt';
const ID = conversationIdOf('file', NAME);

class MemoryProgress implements ImportProgress {
  readonly notes = new Map<string, FinishedFile>();

  all(ids: readonly ConversationId[]): Promise<readonly FinishedFile[]> {
    return Promise.resolve(
      [...this.notes.values()].filter(({ conversationId }) => ids.includes(conversationId)),
    );
  }

  finished(file: FinishedFile): Promise<void> {
    this.notes.set(`${file.conversationId}/${file.file}`, file);
    return Promise.resolve();
  }
}

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-import-'));
  path = join(folder, NAME);
  writeFileSync(path, LOG);
  writeFileSync(join(folder, '2004-12-25.annotation.txt'), ANNOTATION);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Stores that outlive runs; each run is a process of its own. */
class World {
  readonly memory = new MemoryEventLog();
  readonly faulty = new FaultyEventLog(this.memory);
  readonly progress = new MemoryProgress();
  readonly users = new Map<string, ImportedUser>();

  async run(options: { into?: string; files?: readonly string[]; membersMax?: number } = {}) {
    const executor = new Executor(this.faulty, new MemoryMessageIndex(this.memory));
    const summary = new ImportSummary();
    let seen = 0;
    const target = {
      eventLog: this.faulty,
      execute: executor.execute.bind(executor),
      importUsers: (users: readonly ImportedUser[]) => {
        for (const user of users) this.users.set(user.id, user);
        return Promise.resolve();
      },
      progress: this.progress,
      clock: new SystemClock(),
      membersMax: options.membersMax ?? 1_000,
      unavailable: () => undefined,
    };
    const observer = { total: () => undefined, message: () => seen++ };
    await new Import(target, summary, observer).run({
      files: options.files ?? [path],
      into: options.into,
    });
    return { summary, seen: () => seen };
  }

  async events(id: ConversationId = ID): Promise<readonly ConversationEvent[]> {
    const read = await this.memory.readStream(conversationStream(id), { limit: 4_096 });
    if (read.kind !== 'events') return [];
    return read.events.flatMap(
      (event) => fromStored(id, { ...event, seq: toSeq(event.revision) })?.event ?? [],
    );
  }
}

const NICKS = new Map(['ann', 'bob', 'ann_away'].map((nick) => [nickId(nick) as string, nick]));
const nickOf = (id: string): string => (id === IMPORTER_ID ? 'importer' : (NICKS.get(id) ?? id));

function shown(event: ConversationEvent): string {
  if (event.type === 'ConversationStarted') return `started ${event.title ?? ''}`;
  if (event.type === 'MembershipChanged') return `${nickOf(event.userId)} ${event.change}`;
  if (event.type !== 'MessageSent') return event.type;
  const answers = event.replyTo === undefined ? '' : ` (to ${event.replyTo})`;
  return `<${nickOf(event.by)}> ${event.content['body'] as string}${answers}`;
}

const EXPECTED = [
  'started #ubuntu 2004-12-25',
  'ann joined',
  '<ann> anybody here?',
  'bob joined',
  '<bob> I am (to 2)',
  'ann left',
  'ann_away joined',
  'bob left',
  '<ann_away> gone',
  'bob joined',
  '<bob> ann_away: back (to 8)',
  'ann_away removed',
  '<bob> ',
  'ann joined',
  '<ann> * ann waves',
];

describe('importing a log', () => {
  it('makes it the conversation that it was', async () => {
    const world = new World();
    const { summary, seen } = await world.run();
    const events = await world.events();
    expect(events.map(shown)).toEqual(EXPECTED);
    expect(seen()).toBe(6);
    expect(summary.counts).toMatchObject({
      files: 1,
      messages: 6,
      messagesBefore: 0,
      replies: 2,
      joins: 5,
      leaves: 3,
      renames: 2,
      strangers: 1,
    });
    expect(summary.report()).toContain('bad\t2004-12-25.raw.txt:12\tnot a line of a log');
    expect(summary.report()).toContain('bad\t2004-12-25.annotation.txt:6\tnot `a b -`');
    expect(summary.report()).toContain('note\t2004-12-25.raw.txt:13\ta message without text');
    expect([...world.users.values()].map(({ username }) => username).sort()).toEqual([
      'ann',
      'ann_away',
      'bob',
      'irc-import',
    ]);
  });

  it('keeps the original times as data, and makes keys whose births rise', async () => {
    const world = new World();
    await world.run();
    const sent = (await world.events()).filter((event): event is MessageSent => event.type === 'MessageSent');
    expect(sent[0]?.originalAt).toBe('2004-12-25T11:58:00.000Z');
    expect(sent.at(-1)?.originalAt).toBe('2004-12-25T12:04:00.000Z');
    const births = sent.map(({ clientMessageId }) => birthOf(clientMessageId) ?? NaN);
    expect(births[0]).toBe(Date.parse('2004-12-25T11:58:00Z'));
    expect([...new Set(births)].sort((a, b) => a - b)).toEqual(births);
  });

  it('adds nothing the second time, with and without the note of what is finished', async () => {
    const world = new World();
    await world.run();
    const before = await world.events();
    const reads = world.faulty.reads.length;
    const second = await world.run();
    // One event is read to believe the note.
    expect(world.faulty.reads.slice(reads).map(({ limit }) => limit)).toEqual([1]);
    world.progress.notes.clear();
    const third = await world.run();
    expect(await world.events()).toEqual(before);
    for (const { summary, seen } of [second, third]) {
      expect(summary.counts).toMatchObject({ messages: 6, messagesBefore: 6, stepsDone: 0 });
      expect(seen()).toBe(6);
    }
  });

  it('does not believe a note that the log does not bear out', async () => {
    const world = new World();
    await world.run();
    const fresh = new World();
    for (const [key, note] of world.progress.notes) fresh.progress.notes.set(key, note);
    await fresh.run();
    expect((await fresh.events()).map(shown)).toEqual(EXPECTED);
  });

  it('ends in the same conversation wherever it was killed before', async () => {
    const events = EXPECTED.length;
    const whole = new World();
    await whole.run();
    const expected = await whole.events();
    for (let killedAt = 0; killedAt < events; killedAt++) {
      const world = new World();
      // A copy of what a killed run leaves: any prefix of the log, because appends are in order.
      await copyPrefix(whole.memory, world.memory, killedAt);
      const { summary } = await world.run();
      expect(await world.events()).toEqual(expected);
      expect(summary.counts.stepsBefore).toBe(Math.max(0, killedAt - 1));
    }
  });

  it('comes through a store that is away for a while, or whose answers get lost', async () => {
    const world = new World();
    world.faulty.appendFaults = ['unavailable', 'none', 'stored, unheard', 'unavailable', 'lost'];
    await world.run();
    expect((await world.events()).map(shown)).toEqual(EXPECTED);
  });

  it('puts several files into one conversation, each beginning with nobody', async () => {
    const next = join(folder, '2004-12-26.raw.txt');
    writeFileSync(next, '[10:00] <ann> new day\n');
    const world = new World();
    await world.run({ into: 'all of it', files: [next, path] });
    const id = conversationIdOf('title', 'all of it');
    expect((await world.events(id)).map(shown).slice(-6)).toEqual([
      '<ann> * ann waves',
      'bob left',
      'ann left',
      'ann joined',
      '<ann> new day',
      'ann left',
    ]);
    const before = await world.events(id);
    world.progress.notes.clear();
    await world.run({ into: 'all of it', files: [path, next] });
    expect(await world.events(id)).toEqual(before);
  });

  it('lets the longest silent go when a group is full', async () => {
    const world = new World();
    writeFileSync(path, ['a', 'b', 'a', 'c', 'b'].map((nick) => `[10:00] <${nick}> x`).join('\n'));
    for (const nick of 'abc') NICKS.set(nickId(nick), nick);
    await world.run({ membersMax: 3 });
    expect((await world.events()).map(shown).filter((text) => !text.startsWith('<'))).toEqual([
      'started #irc 2004-12-25',
      'a joined',
      'b joined',
      'b left',
      'c joined',
      'a left',
      'b joined',
    ]);
  });

  it('tells of a file without a date and imports the others', async () => {
    const nameless = join(folder, 'chat.raw.txt');
    writeFileSync(nameless, LOG);
    const { summary } = await new World().run({ files: [nameless, path] });
    expect(summary.counts.files).toBe(1);
    expect(summary.text(1)).toContain('bad: chat.raw.txt:1: chat.raw.txt: the name holds no date');
  });
});

async function copyPrefix(from: MemoryEventLog, to: MemoryEventLog, count: number): Promise<void> {
  const stream = conversationStream(ID);
  const read = await from.readStream(stream, { limit: 4_096 });
  if (read.kind !== 'events' || count === 0) return;
  const events = read.events.slice(0, count).map(({ id, type, data, metadata }) => ({
    id,
    type,
    data: data as object,
    metadata: metadata as object,
  }));
  await to.append(stream, events, { expected: 'noStream' });
}
