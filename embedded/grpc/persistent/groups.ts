import type { EmbeddedEventStore } from '../../engine/event-store';
import { compileFilter } from '../../engine/filter';
import { EngineError } from '../../engine/errors';
import { objectionToName } from '../../engine/stream-name';
import { groupDoesNotExist, groupExists, groupFailed } from '../errors';
import { loadGroups, saveGroups, type StoredGroup } from './config';
import { Group } from './group';
import { ALL, checkpointStreamOf, groupKey, objectionTo, type GroupSettings, type Place } from './settings';

/** They are all stored in one event. */
export const GROUPS_MAX = 1_000;
const TICK_MS = 250;

interface Known {
  readonly stored: StoredGroup;
  readonly group: Group;
}

/**
 * All groups of consumers of a store. Changes are made one after another, and are stored before they are
 * answered.
 */
export class Groups {
  private readonly known = new Map<string, Known>();
  private ticking: NodeJS.Timeout | undefined;
  private changing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: EmbeddedEventStore,
    private readonly groupsMax = GROUPS_MAX,
  ) {}

  /** Goes on where the groups stopped, whatever stopped them. */
  async start(): Promise<void> {
    for (const stored of await loadGroups(this.store)) await this.run(stored, stored.after);
    this.ticking = setInterval(() => {
      const now = performance.now();
      for (const { group } of this.known.values()) group.tick(now);
    }, TICK_MS).unref();
  }

  /** Consumers are dropped, and what they have done is remembered. */
  async stop(): Promise<void> {
    await this.changing;
    clearInterval(this.ticking);
    await Promise.all([...this.known.values()].map(({ group }) => group.stop()));
    this.known.clear();
  }

  /** As if the node had been started anew. */
  async restart(): Promise<void> {
    await this.change(async () => {
      clearInterval(this.ticking);
      await Promise.all([...this.known.values()].map(({ group }) => group.stop()));
      this.known.clear();
      await this.start();
    });
  }

  list(): readonly Group[] {
    return [...this.known.values()].map(({ group }) => group);
  }

  /** @throws CallError `persistent-subscription-does-not-exist` */
  find(stream: string, group: string): Group {
    return this.knownOr(stream, group).group;
  }

  /** @throws CallError */
  async create(settings: GroupSettings): Promise<void> {
    await this.change(async () => {
      const { stream, group } = settings;
      const key = groupKey(stream, group);
      if (this.known.has(key)) throw groupExists(settings);
      if (this.known.size >= this.groupsMax)
        throw groupFailed(settings, `There are ${this.groupsMax} groups.`);
      this.check(settings);
      const stored = { settings, after: await this.beginning(settings) };
      await saveGroups(this.store, [...this.stored(), stored]);
      await this.run(stored, stored.after);
    });
  }

  /** Its consumers are dropped. A group that has a checkpoint goes on from there, others begin anew. */
  async update(settings: GroupSettings): Promise<void> {
    await this.change(async () => {
      const { stream, group } = settings;
      const before = this.knownOr(stream, group);
      // What a group hands out cannot be changed by an update.
      const { filter } = before.stored.settings;
      const updated = { ...settings, filter };
      this.check(updated);
      const stored = { settings: updated, after: await this.beginning(updated) };
      const others = this.stored().filter((known) => known !== before.stored);
      await saveGroups(this.store, [...others, stored]);
      await before.group.stop();
      await this.run(stored, stored.after);
    });
  }

  async delete(stream: string, group: string): Promise<void> {
    await this.change(async () => {
      const { stored, group: gone } = this.knownOr(stream, group);
      await saveGroups(
        this.store,
        this.stored().filter((other) => other !== stored),
      );
      this.known.delete(gone.key);
      await gone.stop();
      await gone.remove();
    });
  }

  private knownOr(stream: string, group: string): Known {
    const known = this.known.get(groupKey(stream, group));
    if (known === undefined) throw groupDoesNotExist({ stream, group });
    return known;
  }

  private stored(): readonly StoredGroup[] {
    return [...this.known.values()].map(({ stored }) => stored);
  }

  private async run(stored: StoredGroup, after: Place): Promise<void> {
    const group = new Group(this.store, stored.settings);
    this.known.set(group.key, { stored, group });
    await group.start(after);
  }

  /** The place after which a group without a checkpoint begins. */
  private async beginning({ stream, startFrom }: GroupSettings): Promise<Place> {
    if (startFrom !== 'end') return startFrom - 1;
    if (stream === ALL) return this.store.head;
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: 1 });
    return page.kind === 'events' ? page.head : -1;
  }

  private check(settings: GroupSettings): void {
    const { stream, group, filter, startFrom } = settings;
    const objection = objectionTo(settings);
    if (objection !== undefined) throw groupFailed(settings, objection);
    if (stream === ALL && startFrom !== 'end' && startFrom > Math.max(0, this.store.head)) {
      throw groupFailed(settings, 'The start position is beyond the end of the log.');
    }
    if (objectionToName(checkpointStreamOf(groupKey(stream, group))) !== undefined) {
      throw groupFailed(settings, 'The names of stream and group are too long.');
    }
    try {
      compileFilter(filter);
    } catch (error) {
      throw error instanceof EngineError ? groupFailed(settings, error.message) : error;
    }
  }

  private async change(work: () => Promise<void>): Promise<void> {
    const turn = this.changing.then(work);
    this.changing = turn.catch(() => undefined);
    await turn;
  }
}
