import type { EmbeddedEventStore } from '../engine/event-store';
import { METADATA_STREAM_PREFIX } from '../engine/stream-name';
import { SETTINGS_STREAM, type Access, type Caller } from './access';

interface Watched {
  readonly caller: Caller;
  readonly stream: string;
  readonly denied: () => void;
}

/**
 * Who reads on and on is looked at again when an access list changes that may concern it: a list that is
 * tightened would otherwise hold for everybody but those who are there already.
 */
export class AccessWatch {
  private readonly byStream = new Map<string, Set<Watched>>();
  private readonly ending = new AbortController();
  private following: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: EmbeddedEventStore,
    private readonly access: Access,
  ) {}

  /** To be called once; without accounts nobody is ever denied, and nothing is followed. */
  start(): void {
    if (!this.access.isRestricted) return;
    const items = this.store.subscribeToAll({
      after: 'end',
      signal: this.ending.signal,
      filter: { streamPrefixes: [METADATA_STREAM_PREFIX, SETTINGS_STREAM] },
    });
    const follow = async (): Promise<void> => {
      for await (const item of items) if (item.kind === 'event') await this.changed(item.event.stream);
    };
    // A store that cannot be read ends every subscription by itself.
    this.following = follow().catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await this.following;
  }

  /** Calls `denied` once when the caller may no longer read the stream. @returns what ends it */
  watch(caller: Caller, stream: string, denied: () => void): () => void {
    const watched = { caller, stream, denied };
    const others = this.byStream.get(stream) ?? new Set<Watched>();
    this.byStream.set(stream, others.add(watched));
    return () => {
      others.delete(watched);
      if (others.size === 0 && this.byStream.get(stream) === others) this.byStream.delete(stream);
    };
  }

  private async changed(where: string): Promise<void> {
    const streams =
      where === SETTINGS_STREAM ? [...this.byStream.keys()] : [where.slice(METADATA_STREAM_PREFIX.length)];
    for (const stream of streams) {
      for (const { caller, denied } of [...(this.byStream.get(stream) ?? [])]) {
        if (!(await this.access.allows(caller, 'read', stream))) denied();
      }
    }
  }
}
