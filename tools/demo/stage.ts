import { ParleyApi } from '../../sdk';
import type { EventFrame } from '../../src/protocol/events';
import type { Measurements } from './measurements';
import { Person } from './person';
import type { Cue, Script } from './script';

/** Accounts being made, and devices connecting, at the same time. */
const AT_ONCE_MAX = 16;
const EVENTS_PAGE = 1_000;
const HOST = 'demo-host';
const PASSWORD = 'a stage needs no locks';
/** Longest time a device stays away, in milliseconds of the demo. */
const AWAY_MAX_MS = 4_000;
/** One of this many messages is followed by somebody going away; one of that many by somebody reading. */
const AWAY_EVERY = 12;
const READ_EVERY = 6;
const CHECK_EVERY = 25;
const SETTLE_TIMEOUT_MS = 60_000;

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE_MAX }, worker));
}

/** The people of a script on live sockets, in one group, and what happens to them. */
export class Stage {
  readonly people = new Map<string, Person>();
  private room: string | undefined;
  private host: Person | undefined;
  private readonly seqOfLine = new Map<number, number>();
  private readonly away = new Set<Promise<void>>();
  private readonly pending = new Set<Promise<unknown>>();

  constructor(
    private readonly url: string,
    private readonly script: Script,
    private readonly random: () => number,
    private readonly measurements: Measurements,
  ) {}

  get online(): number {
    return [...this.people.values()].filter(({ isOnline }) => isOnline).length;
  }

  /** Accounts, devices, and the group of those who are there from the start. */
  async prepare(progress: (done: number, all: number) => void): Promise<void> {
    const nicks = [...new Set([...this.script.present, ...this.script.cues.map(({ nick }) => nick)])];
    await inParallel([HOST, ...nicks], async (nick) => {
      await this.hire(nick);
      progress(this.people.size, nicks.length + 1);
    });
    this.host = this.person(HOST);
    const memberIds = this.script.present.map((nick) => this.person(nick).id);
    const { id } = await this.host.api.createConversation({
      kind: 'group',
      title: this.script.title,
      memberIds,
    });
    this.room = id;
    await inParallel([...this.people.values()], (person) => person.connect());
  }

  /** Follows the script, `speed` times as fast as it was. */
  async play(speed: number): Promise<void> {
    const start = performance.now();
    for (const cue of this.script.cues) {
      const wait = start + cue.at / speed - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      this.perform(cue);
    }
  }

  /** Everybody is back, everything said is stored, and every device has what the log has. */
  async settle(): Promise<readonly EventFrame[]> {
    const deadline = Date.now() + SETTLE_TIMEOUT_MS;
    await Promise.all(this.away);
    await Promise.all([...this.people.values()].map((person) => person.settled()));
    await Promise.all(this.pending);
    // The judge decides what is missing; this only gives what is under way the time to arrive.
    for (let before = -1; before !== this.measurements.deliveries && Date.now() < deadline;) {
      before = this.measurements.deliveries;
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    }
    const log = await this.readLog();
    await inParallel([...this.people.values()], (person) => this.checkUnread(person, log));
    return log;
  }

  async leave(): Promise<void> {
    await Promise.all([...this.people.values()].map((person) => person.shutDown()));
  }

  private person(nick: string): Person {
    const person = this.people.get(nick);
    if (person === undefined) throw new Error(`${nick} is not in the cast`);
    return person;
  }

  private async hire(nick: string): Promise<void> {
    const api = new ParleyApi({ url: this.url });
    // A name for signing in is plain; the nick is shown.
    const username = `p-${Buffer.from(nick).toString('hex').slice(0, 28)}`;
    await api.register({ username, password: PASSWORD, displayName: nick });
    this.people.set(nick, new Person(nick, api, this.url, () => this.room, this.measurements));
  }

  private perform(cue: Cue): void {
    const person = this.person(cue.nick);
    const room = this.room ?? '';
    switch (cue.kind) {
      case 'joins':
        this.watch(
          person.next(async () => {
            await this.host?.api.addMembers(room, [person.id]);
          }),
        );
        return;
      case 'leaves':
        this.watch(
          person.next(async () => {
            await person.settledSends();
            await person.whenOnline();
            await person.api.removeMember(room, person.id);
          }),
        );
        return;
      case 'says':
        this.watch(
          person.next(() => {
            const replyTo = cue.answers === undefined ? undefined : this.seqOfLine.get(cue.answers);
            const stored = person.say(room, cue.body, replyTo).then((seq) => {
              if (seq !== undefined) this.seqOfLine.set(cue.line, seq);
            });
            this.watch(stored);
            return Promise.resolve();
          }),
        );
        this.disturb();
    }
  }

  /** Now and then somebody loses the connection, closes the application, reads, or is checked. */
  private disturb(): void {
    const present = [...this.people.values()].filter(({ nick }) => nick !== HOST);
    const someone = (): Person | undefined => present[Math.floor(this.random() * present.length)];
    if (this.random() * AWAY_EVERY < 1) this.sendAway(someone());
    if (this.random() * READ_EVERY < 1 && this.room !== undefined) someone()?.read(this.room);
    if (this.random() * CHECK_EVERY < 1) {
      const checked = someone();
      if (checked !== undefined) this.watch(this.readLog().then((log) => this.checkUnread(checked, log)));
    }
  }

  private sendAway(person: Person | undefined): void {
    if (person?.isOnline !== true) return;
    const restarts = this.random() < 0.5;
    const ms = this.random() * AWAY_MAX_MS;
    const absence = async (): Promise<void> => {
      if (restarts) await person.shutDown();
      else person.loseConnection();
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (restarts) await person.startAgain();
      else person.regainConnection();
    };
    // An application that is closed says nothing; on a dead line the outbox keeps what is said.
    const away = (restarts ? person.next(absence) : absence()).then(() => undefined);
    this.away.add(away);
    this.watch(away.finally(() => this.away.delete(away)));
  }

  private async readLog(): Promise<EventFrame[]> {
    const log: EventFrame[] = [];
    for (;;) {
      const after = log.at(-1)?.data.seq;
      const page = await this.person(HOST).api.events(this.room ?? '', {
        limit: EVENTS_PAGE,
        ...(after === undefined ? {} : { after }),
      });
      log.push(...page.items);
      if (!page.hasMore) return log;
    }
  }

  /** The inbox's count against a count of the log's own messages, at the same head. */
  private async checkUnread(person: Person, log: readonly EventFrame[]): Promise<void> {
    const room = this.room ?? '';
    const joined = joinedAt(log, person.id);
    if (joined === undefined) return;
    const view = await person.api.conversation(room).catch(() => undefined);
    // Left, or said something, meanwhile: the next check will tell.
    if (view === undefined || view.headSeq > (log.at(-1)?.data.seq ?? -1)) return;
    const from = Math.max(view.readUpTo, joined);
    const unread = log.filter(
      ({ event, data }) => event === 'message.sent' && data.seq > from && data.seq <= view.headSeq,
    ).length;
    this.measurements.checks += 1;
    if (unread === view.unreadCount) return;
    this.measurements.disagreements += 1;
    this.measurements.failed(
      `${person.nick} has ${view.unreadCount} unread at ${view.headSeq}, the log says ${unread}`,
    );
  }

  private watch(promise: Promise<unknown>): void {
    this.pending.add(promise);
    promise
      .catch((error: unknown) => {
        this.measurements.failed(String(error));
      })
      .finally(() => this.pending.delete(promise));
  }
}

/** Seq at which the user became a member last; undefined: is none at the end. */
function joinedAt(log: readonly EventFrame[], userId: string): number | undefined {
  let joined: number | undefined;
  for (const { event, data } of log) {
    if (event === 'conversation.started' && data.memberIds.includes(userId)) joined = data.seq;
    if (event !== 'membership.changed' || data.userId !== userId) continue;
    if (data.change === 'joined') joined = data.seq;
    if (data.change === 'left' || data.change === 'removed') joined = undefined;
  }
  return joined;
}
