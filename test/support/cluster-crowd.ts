import { setTimeout as sleep } from 'node:timers/promises';
import type { ParleyApi } from '../../sdk/node';
import { connectedDevice, eventually, signUp, type SdkDevice } from './sdk-device';

/** A device comes and goes for this long at most after the faults are over. */
const CATCH_UP_MS = 90_000;

/** What kept a delivery waiting, as far as a device can tell. */
export type Circumstance = 'both there' | 'sender away' | 'receiver away';

export interface Delivery {
  readonly ms: number;
  readonly circumstance: Circumstance;
}

/** One way of a device from one node to another. */
export interface Move {
  /** From the loss of the connection to the next `ready`. */
  readonly awayMs: number;
  /** From there until it has all it missed. */
  readonly catchUpMs: number;
}

interface Watched {
  readonly device: SdkDevice;
  readonly room: string;
  /** Keys of messages, in the order in which they were handed over. */
  readonly seen: string[];
  readonly seqs: number[];
  /** What a sync left out, because it was more than its window: after so many of `seen` came this from the log. */
  readonly gaps: { readonly at: number; readonly after: number; readonly from: number }[];
  /** Times the connection was lost. */
  lost: number;
  /** Connected, and in sync since. */
  isLive: boolean;
  lostAt: number;
  backAt: number;
}

interface Pair {
  readonly room: string;
  readonly apis: readonly ParleyApi[];
  readonly devices: readonly Watched[];
}

/** Pairs of people who talk to each other on several devices each, and remember all they were told. */
export class ClusterCrowd {
  /** Room → keys of acknowledged messages with their seq. */
  readonly acknowledged = new Map<string, Map<string, number>>();
  /** From sending to the device of the other one having it. */
  deliveries: Delivery[] = [];
  moves: Move[] = [];
  private readonly sent = new Map<string, { readonly at: number; readonly live: boolean }>();
  private readonly failures: unknown[] = [];
  private talking: Promise<void> | undefined;
  private pending: Promise<void>[] = [];
  private stopping = false;
  private count = 0;

  private constructor(private readonly pairs: readonly Pair[]) {}

  static async gather(url: string, pairs: number, devicesEach: number): Promise<ClusterCrowd> {
    const gathered: Pair[] = [];
    const crowd = new ClusterCrowd(gathered);
    for (let n = 0; n < pairs; n++) {
      const apis = [await signUp(url, 'ann'), await signUp(url, 'bob')];
      const memberIds = [apis[1]?.session?.user.id ?? ''];
      const { id } = await (apis[0] as ParleyApi).createConversation({ kind: 'direct', memberIds });
      const devices: Watched[] = [];
      for (const api of apis) {
        for (let d = 0; d < devicesEach; d++) {
          const device = await connectedDevice(url, api, `device ${d}`, { random: Math.random });
          devices.push(crowd.watch(device, id));
        }
      }
      gathered.push({ room: id, apis, devices });
      crowd.acknowledged.set(id, new Map());
    }
    return crowd;
  }

  get devices(): readonly Watched[] {
    return this.pairs.flatMap(({ devices }) => devices);
  }

  /** Sends `perSecond` messages, by each device in turn, until told to stop. */
  talk(perSecond: number): void {
    this.stopping = false;
    this.talking = this.keepTalking(perSecond);
  }

  /** Resolves when everything sent is acknowledged and all devices have it. @throws Error when something is missing */
  async settle(): Promise<void> {
    this.stopping = true;
    await this.talking;
    let waiting = true;
    void Promise.all(this.pending).finally(() => (waiting = false));
    // A device that has stopped for ever keeps what it has not sent: that is the end, and not a matter of patience.
    await eventually(
      'an acknowledgement of everything',
      () => this.failures.length > 0 || !waiting,
      CATCH_UP_MS,
    );
    expect(this.failures).toEqual([]);
    for (const { room, devices } of this.pairs) {
      const keys = this.acknowledged.get(room)?.size ?? 0;
      const whole = async (): Promise<boolean> => {
        for (const watched of devices) await fillGaps(watched);
        return this.failures.length > 0 || devices.every(({ seen }) => seen.length >= keys);
      };
      await eventually('the end', whole, CATCH_UP_MS).catch(() => undefined);
      expect(this.failures).toEqual([]);
      const missing = devices.filter(({ seen }) => seen.length < keys).map(standing);
      expect(missing).toEqual([]);
    }
  }

  /** Everything acknowledged once on every device and in the log, in one order, and nothing else. */
  async check(): Promise<number> {
    let messages = 0;
    for (const { room, apis, devices } of this.pairs) {
      const acknowledged = this.acknowledged.get(room) ?? new Map<string, number>();
      const expected = [...acknowledged].sort(([, a], [, b]) => a - b).map(([key]) => key);
      for (const { seen, seqs } of devices) {
        expect(seen).toEqual(expected);
        expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
      }
      const stored: string[] = [];
      for (let after = -1, more = true; more;) {
        const page = await (apis[0] as ParleyApi).events(room, {
          limit: 100,
          ...(after < 0 ? {} : { after }),
        });
        for (const { event, data } of page.items) {
          expect(data.seq).toBe(after + 1);
          after = data.seq;
          if (event === 'message.sent') stored.push(data.clientMessageId);
        }
        more = page.hasMore;
      }
      expect(stored).toEqual(expected);
      messages += expected.length;
    }
    expect(this.failures).toEqual([]);
    return messages;
  }

  async leave(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.devices.map(({ device }) => device.client.close()));
    await Promise.allSettled(this.pending);
  }

  private watch(device: SdkDevice, room: string): Watched {
    const watched: Watched = {
      device,
      room,
      seen: [],
      seqs: [],
      gaps: [],
      lost: 0,
      isLive: true,
      lostAt: 0,
      backAt: 0,
    };
    device.client.on('message.sent', ({ conversationId, clientMessageId, seq, by }) => {
      if (conversationId !== room) return;
      watched.seen.push(clientMessageId);
      watched.seqs.push(seq);
      const sent = this.sent.get(clientMessageId);
      if (sent === undefined || by === device.userId) return;
      const wasAway = !watched.isLive || watched.lostAt > sent.at || watched.backAt > sent.at;
      const circumstance = !sent.live ? 'sender away' : wasAway ? 'receiver away' : 'both there';
      this.deliveries.push({ ms: performance.now() - sent.at, circumstance });
    });
    device.client.on('limited', ({ conversationId, from }) => {
      if (conversationId !== room) return;
      watched.gaps.push({ at: watched.seen.length, after: watched.seqs.at(-1) ?? -1, from });
    });
    device.client.on('disconnected', () => {
      watched.lost += 1;
      if (watched.isLive) watched.lostAt = performance.now();
      watched.isLive = false;
    });
    device.client.on('connected', () => {
      watched.backAt = performance.now();
    });
    device.client.on('synced', () => {
      if (watched.isLive) return;
      const { lostAt, backAt } = watched;
      watched.isLive = true;
      this.moves.push({ awayMs: backAt - lostAt, catchUpMs: performance.now() - backAt });
    });
    device.client.on('stopped', (stopped) => {
      if (!this.stopping) this.failures.push(stopped);
    });
    return watched;
  }

  private async keepTalking(perSecond: number): Promise<void> {
    const devices = this.devices;
    const begun = performance.now();
    for (let n = 0; !this.stopping; n++) {
      const due = begun + (n * 1_000) / perSecond;
      if (due > performance.now()) await sleep(due - performance.now());
      const { device, room, isLive } = devices[n % devices.length] as Watched;
      const { message, acked } = device.client.send({ conversationId: room }, `word ${++this.count}`);
      this.sent.set(message.clientMessageId, { at: performance.now(), live: isLive });
      const told = acked.then(
        ({ clientMessageId, seq }) => {
          this.acknowledged.get(room)?.set(clientMessageId, seq);
        },
        (error: unknown) => {
          this.failures.push(error);
        },
      );
      this.pending.push(told);
    }
  }
}

/** As an application does that shows everything: what a sync left out is asked for by its place. */
async function fillGaps({ device, room, seen, seqs, gaps }: Watched): Promise<void> {
  for (const { at, after, from } of gaps.splice(0).reverse()) {
    const missed: { readonly key: string; readonly seq: number }[] = [];
    for (let last = after; last < from - 1;) {
      const page = await device.api.events(room, { limit: 100, ...(last < 0 ? {} : { after: last }) });
      for (const { event, data } of page.items) {
        last = data.seq;
        if (event === 'message.sent' && last < from) missed.push({ key: data.clientMessageId, seq: last });
      }
      if (!page.hasMore) break;
    }
    seen.splice(at, 0, ...missed.map(({ key }) => key));
    seqs.splice(at, 0, ...missed.map(({ seq }) => seq));
  }
}

/** For whoever looks for what a device lacks. */
const standing = ({ device, seen, isLive, lost }: Watched): object => ({
  ...{ device: `${device.name} of ${device.userId}`, seen: seen.length, isLive, lost },
  errors: device.errors.slice(-3).map(String),
});
