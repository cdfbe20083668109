import { randomUUID } from 'node:crypto';
import type { EmbeddedEventStore } from '../../engine/event-store';
import { projectionExists, projectionFailed, projectionNotFound } from '../errors';
import {
  definitionOf,
  definitionStreamOf,
  projectionCheckpointStreamOf,
  ProjectionFault,
  type Definition,
} from './definition';
import { Projection } from './projection';
import { QUERY_BYTES_MAX, scriptHandler } from './script';
import { STANDARD } from './standard';

/** Each that runs reads the whole log for itself. */
export const PROJECTIONS_MAX = 100;
const NAME_BYTES_MAX = 200;
/** Names of all that were ever made, in order. */
const REGISTRY = '$projections-$all';
const KEPT_DEFINITIONS = 2;
const PAGE_EVENTS_MAX = 512;

/**
 * All projections of a store. Like groups of consumers, what they are is in the log: their names in one
 * stream, each one's definition as the last event of its own.
 */
export class Projections {
  private readonly known = new Map<string, Projection>();
  private changing: Promise<unknown> = Promise.resolve();

  constructor(private readonly store: EmbeddedEventStore) {}

  /** Goes on where they stopped; a store that has never had any gets the standard ones, which do not run. */
  async start(): Promise<void> {
    const names = await this.names();
    if (names.size === 0) await this.initialize();
    for (const name of names.size === 0 ? Object.keys(STANDARD) : names) {
      const definition = await this.load(name);
      if (definition !== undefined && !definition.deleted) await this.run(definition);
    }
  }

  async stop(): Promise<void> {
    await this.changing;
    await Promise.all([...this.known.values()].map(async (projection) => projection.stop()));
    this.known.clear();
  }

  async restart(): Promise<void> {
    await this.change(async () => {
      await Promise.all([...this.known.values()].map(async (projection) => projection.stop()));
      this.known.clear();
      await this.start();
    });
  }

  list(): readonly Projection[] {
    return [...this.known.values()];
  }

  /** @throws CallError `projection-not-found` */
  find(name: string): Projection {
    const known = this.known.get(name);
    if (known === undefined) throw projectionNotFound(name);
    return known;
  }

  /** @throws CallError */
  async create(name: string, query: string, emitEnabled: boolean): Promise<void> {
    await this.change(async () => {
      if (this.known.has(name)) throw projectionExists(name);
      if (this.known.size >= PROJECTIONS_MAX)
        throw projectionFailed(`There are ${PROJECTIONS_MAX} projections.`);
      if (name === '' || Buffer.byteLength(name) > NAME_BYTES_MAX || name.startsWith('$')) {
        throw projectionFailed(`A name has 1 to ${NAME_BYTES_MAX} bytes and does not begin with a dollar.`);
      }
      await check(query);
      const before = await this.load(name);
      const epoch = (before?.epoch ?? -1) + 1;
      const version = (before?.version ?? -1) + 1;
      const definition = { name, query, enabled: true, emitEnabled, epoch, version, deleted: false };
      if (before === undefined) await this.register([name]);
      await this.save(definition);
      await this.run(definition);
    });
  }

  async update(name: string, query: string, emitEnabled: boolean | undefined): Promise<void> {
    await this.alter(name, async (definition) => {
      if (Object.hasOwn(STANDARD, name)) throw projectionFailed('A standard projection is not changed.');
      await check(query);
      return { ...definition, query, emitEnabled: emitEnabled ?? definition.emitEnabled };
    });
  }

  async enable(name: string): Promise<void> {
    await this.alter(name, async (definition) => Promise.resolve({ ...definition, enabled: true }));
  }

  async disable(name: string): Promise<void> {
    await this.alter(name, async (definition) => Promise.resolve({ ...definition, enabled: false }));
  }

  /** Begins anew; what it wrote stays, and is written again. */
  async reset(name: string): Promise<void> {
    await this.alter(name, async (definition) =>
      Promise.resolve({ ...definition, epoch: definition.epoch + 1 }),
    );
  }

  async delete(name: string, withCheckpoint: boolean): Promise<void> {
    await this.change(async () => {
      const projection = this.find(name);
      if (Object.hasOwn(STANDARD, name)) throw projectionFailed('A standard projection is not deleted.');
      if (projection.definition.enabled)
        throw projectionFailed('A projection is disabled before it is deleted.');
      const { definition } = projection;
      await this.save({ ...definition, version: definition.version + 1, deleted: true });
      this.known.delete(name);
      await projection.stop();
      if (!withCheckpoint) return;
      const stream = projectionCheckpointStreamOf(name);
      await this.store.deleteStream(stream, 'any');
    });
  }

  private async alter(name: string, by: (definition: Definition) => Promise<Definition>): Promise<void> {
    await this.change(async () => {
      const before = this.find(name);
      const altered = await by(before.definition);
      const definition = { ...altered, version: before.definition.version + 1 };
      await before.stop();
      await this.save(definition);
      await this.run(definition);
    });
  }

  private async run(definition: Definition): Promise<void> {
    const projection = new Projection(this.store, definition);
    this.known.set(definition.name, projection);
    if (definition.enabled) await projection.start();
    else await projection.stop();
  }

  private async initialize(): Promise<void> {
    const event = {
      id: randomUUID(),
      type: '$ProjectionsInitialized',
      isJson: true,
      data: '{}',
      metadata: '',
    };
    await this.store.append(REGISTRY, [event], 'any');
    for (const name of Object.keys(STANDARD)) {
      await this.save({
        name,
        query: '',
        enabled: false,
        emitEnabled: true,
        epoch: 0,
        version: 0,
        deleted: false,
      });
    }
    await this.register(Object.keys(STANDARD));
  }

  private async register(names: readonly string[]): Promise<void> {
    const events = names.map((name) => ({
      id: randomUUID(),
      type: '$ProjectionCreated',
      isJson: true,
      data: JSON.stringify(name),
      metadata: '',
    }));
    await this.store.append(REGISTRY, events, 'any');
  }

  private async names(): Promise<ReadonlySet<string>> {
    const names = new Set<string>();
    for (let from = 0; ; from += PAGE_EVENTS_MAX) {
      const page = await this.store.readStream(REGISTRY, { from, limit: PAGE_EVENTS_MAX });
      if (page.kind !== 'events') return names;
      for (const { type, dataJson } of page.events) {
        if (type === '$ProjectionCreated' && typeof dataJson === 'string') names.add(dataJson);
      }
      if (page.events.length < PAGE_EVENTS_MAX) return names;
    }
  }

  private async load(name: string): Promise<Definition | undefined> {
    const page = await this.store.readStream(definitionStreamOf(name), { direction: 'backwards', limit: 1 });
    return page.kind === 'events' ? definitionOf(name, page.events[0]?.dataJson) : undefined;
  }

  private async save(definition: Definition): Promise<void> {
    const stream = definitionStreamOf(definition.name);
    if (definition.version === 0) {
      await this.store.setStreamMetadata(stream, { $maxCount: KEPT_DEFINITIONS }, 'any');
    }
    const { name: _name, ...stored } = definition;
    const data = JSON.stringify(stored);
    const event = { id: randomUUID(), type: '$ProjectionUpdated', isJson: true, data, metadata: '' };
    await this.store.append(stream, [event], 'any');
  }

  private async change(work: () => Promise<void>): Promise<void> {
    const turn = this.changing.then(work);
    this.changing = turn.catch(() => undefined);
    await turn;
  }
}

/** @throws CallError when the query is none */
async function check(query: string): Promise<void> {
  if (Buffer.byteLength(query) > QUERY_BYTES_MAX) {
    throw projectionFailed(`A query has at most ${QUERY_BYTES_MAX} bytes.`);
  }
  try {
    await (await scriptHandler(query, undefined)).close();
  } catch (error) {
    throw error instanceof ProjectionFault ? projectionFailed(error.message) : error;
  }
}
