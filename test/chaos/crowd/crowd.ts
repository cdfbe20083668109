import { setTimeout as sleep } from 'node:timers/promises';
import { taggedBody, type Evidence, type LoggedEvent, type RestView } from '../journal';
import { due, fold, maySee } from '../judge/fold';
import { pick } from './random';
import type { ChaosDevice, Person } from './person';
import { insist, type RestAnswer } from './rest';
import { SdkDevice } from './sdk-device';
import { WireDevice } from './wire-device';

const PASSWORD = 'correct horse battery';
const TICK_MS = 20;
const POLL_MS = 300;
const PAGE = 200;
/** Users whose views are asked for at the same time. */
const AT_ONCE_MAX = 8;
/** Of one request whose token has expired, and expired again. */
const SIGN_INS_MAX = 3;

export interface CrowdOptions {
  /** Doors of the gateways; the first one is asked by REST. */
  readonly urls: readonly string[];
  readonly random: () => number;
  readonly people: number;
  readonly rooms: number;
  /** Where the log ends; equal as long as nothing is added. */
  readonly endOfLog: () => Promise<string>;
  readonly readLog: () => Promise<Map<string, LoggedEvent[]>>;
}

let crowds = 0;

/** People with accounts, their devices and their rooms, and what they do to each other. */
export class Crowd {
  readonly people: Person[] = [];
  readonly devices: ChaosDevice[] = [];
  readonly rooms: string[] = [];
  private readonly wires: WireDevice[] = [];
  private readonly talking: NodeJS.Timeout[] = [];
  private said = 0;
  /** What {@link settle} waited for last. */
  waitedFor = 'nothing';
  /** The end of the log that {@link settle} gave. */
  private restedAt: string | undefined;

  private constructor(private readonly options: CrowdOptions) {}

  /** Everybody has two devices on the wire, the first two have the SDK besides; all are in all rooms. */
  static async gather(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(options);
    crowds += 1;
    for (let n = 0; n < options.people; n++) crowd.people.push(await crowd.signUp(`p${n}`));
    for (let n = 0; n < options.rooms; n++) await crowd.openRoom(crowd.people);
    for (const [n, person] of crowd.people.entries()) {
      crowd.addWire(person);
      crowd.addWire(person);
      if (n < 2) crowd.addSdk(person, n);
    }
    for (const device of crowd.devices) device.start();
    return crowd;
  }

  get owner(): Person {
    return this.personAt(0);
  }

  personAt(n: number): Person {
    const person = this.people[n];
    if (person === undefined) throw new RangeError(`there is no person ${n}`);
    return person;
  }

  async signUp(name: string): Promise<Person> {
    const username = `${name}-${process.pid}-${Date.now().toString(36)}-${crowds}`;
    const account = { username, password: PASSWORD };
    const answer = await insist(this.url, 'POST', '/auth/register', { body: account });
    if (answer.status !== 201) throw new Error(`register answered ${JSON.stringify(answer)}`);
    let renewing: Promise<void> | undefined;
    const person: Person = {
      id: (answer.body['user'] as { id: string }).id,
      name,
      token: String(answer.body['accessToken']),
      renew: () =>
        (renewing ??= insist(this.url, 'POST', '/auth/login', { body: account })
          .then(({ body }) => {
            person.token = String(body['accessToken']);
          })
          .finally(() => {
            renewing = undefined;
          })),
    };
    return person;
  }

  async openRoom(members: readonly Person[]): Promise<string> {
    const memberIds = members.slice(1).map(({ id }) => id);
    const [owner = this.owner] = members;
    const body = { kind: 'group', title: `room ${this.rooms.length + 1}`, memberIds };
    const answer = await insist(this.url, 'POST', '/conversations', { token: owner.token, body });
    if (answer.status !== 201) throw new Error(`a room was answered by ${JSON.stringify(answer)}`);
    const id = String(answer.body['id']);
    this.rooms.push(id);
    return id;
  }

  /** A conversation of all people that was not opened here. */
  adoptRoom(id: string): void {
    this.rooms.push(id);
  }

  /** @param url where it connects to, each time; default: any door */
  addWire(person: Person, url?: () => string, silenceMaxMs?: number): WireDevice {
    const { random, urls } = this.options;
    const device = new WireDevice({
      name: `${person.name}-wire-${this.devices.length}`,
      person,
      url: url ?? ((): string => pick(urls, random)),
      random,
      ...(silenceMaxMs === undefined ? {} : { silenceMaxMs }),
    });
    this.devices.push(device);
    this.wires.push(device);
    return device;
  }

  addSdk(person: Person, gateway: number): void {
    const { urls } = this.options;
    const url = urls[gateway % urls.length] ?? this.url;
    this.devices.push(new SdkDevice(`${person.name}-sdk-${this.devices.length}`, person, url));
  }

  /** From now on devices talk, so many messages a second all together, to any of these rooms. */
  talk(perSecond: number, rooms: readonly string[] = this.rooms): void {
    const { random } = this.options;
    let owed = 0;
    const timer = setInterval(() => {
      owed += (perSecond * TICK_MS) / 1_000;
      for (; owed >= 1; owed--) {
        const device = pick(this.devices, random);
        // A crowd that nobody listens to falls silent, or the first answer would meet ten thousand wishes.
        if (device.waiting < 100) this.sayOn(device, pick(rooms, random));
      }
    }, TICK_MS);
    this.talking.push(timer);
  }

  sayOn(device: ChaosDevice, room: string): void {
    device.say(room, taggedBody(room, device.person.id, ++this.said));
  }

  /** Edits, reactions, deletions and what goes wrong with them, now and then. */
  fiddle(perSecond: number): void {
    const { random } = this.options;
    const timer = setInterval(() => {
      const device = pick(this.wires, random);
      const last = device.journal.entries.findLast(({ type }) => type === 'acked');
      if (last?.type !== 'acked') return;
      const { conversationId, seq: target } = last;
      const what = random();
      if (what < 0.4) device.act('reaction.set', { conversationId, target, emoji: '👍', on: random() < 0.7 });
      else if (what < 0.8) {
        const body = taggedBody(conversationId, device.person.id, ++this.said);
        device.act('message.edit', { conversationId, target, content: { type: 'text', body } });
      } else device.act('message.delete', { conversationId, target, scope: 'everyone' });
    }, 1_000 / perSecond);
    this.talking.push(timer);
  }

  fallSilent(): void {
    for (const timer of this.talking.splice(0)) clearInterval(timer);
  }

  /** Owner takes somebody in or throws them out, over REST, and insists. Refusals are no news. */
  async changeMember(room: string, person: Person, is: 'in' | 'out'): Promise<void> {
    const path = `/conversations/${room}/members`;
    if (is === 'in') await this.askAs(this.owner, 'POST', path, { userIds: [person.id] });
    else await this.askAs(this.owner, 'DELETE', `${path}/${person.id}`);
  }

  /** Messages acknowledged so far, over all devices. */
  get acknowledged(): number {
    return this.devices.reduce(
      (sum, { journal }) => sum + journal.entries.filter(({ type }) => type === 'acked').length,
      0,
    );
  }

  /**
   * Nobody says anything new; resolves when everything said has an outcome and every device has all of the log that
   * is meant for it, with the log. @throws Error saying who lacks what when patience ends
   */
  async settle(patienceMs: number): Promise<Map<string, LoggedEvent[]>> {
    this.fallSilent();
    const deadline = Date.now() + patienceMs;
    let rest: string | undefined;
    for (;;) {
      const end = await this.options.endOfLog().catch(() => undefined);
      this.waitedFor = 'the log to come to rest';
      // Twice the same end: nothing is under way. Reading the whole log costs more, so that comes after.
      if (end !== undefined && end === rest) {
        const log = await this.options.readLog();
        const lacking = this.lacking(log);
        if (lacking === undefined && (await this.options.endOfLog()) === end) {
          for (const { journal } of this.devices) journal.isCaughtUp = true;
          this.restedAt = end;
          return log;
        }
        this.waitedFor = lacking ?? this.waitedFor;
      }
      if (Date.now() > deadline) throw new Error(`not settled: ${this.waitedFor}`);
      rest = end;
      await sleep(POLL_MS);
    }
  }

  /** Nothing has been appended since the log that {@link settle} gave. */
  async isAtRest(): Promise<boolean> {
    return (await this.options.endOfLog()) === this.restedAt;
  }

  /** What REST says of all rooms to everybody; a read model that is behind is waited for. */
  async evidence(log: Map<string, LoggedEvent[]>): Promise<Evidence> {
    const own = new Map(this.rooms.map((room) => [room, log.get(room) ?? []]));
    const asked = this.people.flatMap((person) => this.rooms.map((room) => ({ person, room })));
    const views: RestView[] = [];
    const worker = async (): Promise<void> => {
      for (let next = asked.shift(); next !== undefined; next = asked.shift()) {
        views.push(await this.view(next.person, next.room, own.get(next.room) ?? []));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE_MAX }, worker));
    return { log: own, journals: this.devices.map(({ journal }) => journal), views };
  }

  async leave(): Promise<void> {
    this.fallSilent();
    await Promise.all(this.devices.map((device) => device.stop()));
  }

  private get url(): string {
    return this.options.urls[0] ?? '';
  }

  /** Insists; with a new token when the old one has had its time. */
  private async askAs(person: Person, method: string, path: string, body?: unknown): Promise<RestAnswer> {
    for (let attempt = 1; ; attempt++) {
      const { token } = person;
      const answer = await insist(this.url, method, path, { token, ...(body === undefined ? {} : { body }) });
      if (answer.status !== 401 || attempt >= SIGN_INS_MAX) return answer;
      await person.renew();
    }
  }

  private lacking(log: ReadonlyMap<string, readonly LoggedEvent[]>): string | undefined {
    for (const device of this.devices) {
      if (device.waiting > 0) return `${device.journal.device} waits for ${device.waiting} outcomes`;
    }
    for (const room of this.rooms) {
      const events = log.get(room) ?? [];
      const folded = fold(events);
      for (const device of this.devices) {
        const { id } = device.person;
        if (!maySee(folded, id, events.length - 1)) continue;
        const last = due(folded, id, -1, events.length - 1).at(-1) ?? -1;
        if (!device.has(room, last)) return `${device.journal.device} lacks up to ${last} of ${room}`;
      }
    }
    return undefined;
  }

  private async view(person: Person, room: string, events: readonly LoggedEvent[]): Promise<RestView> {
    const minSeq = events.length - 1;
    const where = { userId: person.id, conversationId: room };
    const answer = await this.askAs(person, 'GET', `/conversations/${room}?minSeq=${minSeq}`);
    if (answer.status !== 200) return { ...where, status: answer.status };
    const { headSeq, lastOrdinal, unreadCount, readUpTo } = answer.body;
    const numbers = { headSeq, lastOrdinal, unreadCount, readUpTo } as Record<string, number>;
    return { ...where, status: 200, ...numbers, history: await this.history(person, room, minSeq) };
  }

  private async history(person: Person, room: string, minSeq: number): Promise<number[]> {
    const seqs: number[] = [];
    for (let after = 0; ; after = seqs.at(-1) ?? after) {
      const path = `/conversations/${room}/messages?limit=${PAGE}&after=${after}&minSeq=${minSeq}`;
      const { status, body } = await this.askAs(person, 'GET', path);
      if (status !== 200) throw new Error(`GET ${path} answered ${status}`);
      seqs.push(...(body['items'] as { seq: number }[]).map(({ seq }) => seq));
      if (body['hasMore'] !== true) return seqs;
    }
  }
}
