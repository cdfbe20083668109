import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { LastSeenPrivacy, PresenceStore, type PresenceView } from '../application/ports/presence';
import { CONFIG, type Config } from '../config/config';
import type { UserId } from '../kernel/ids';
import { Metrics } from '../observability/metrics';
import type { ServerFrame, ServerFrameData } from '../protocol/frames';
import { toPresenceDto } from './presence-frame';

/** A socket that wants to know. */
export interface Watcher {
  /** Must not throw. */
  hint(bytes: Buffer): void;
}

/** Changes of one user within this time reach watchers as one: the last. */
export const PRESENCE_BATCH_MS = 100;

/**
 * Who on this node watches whom. Changes are gathered for a moment, so that a thousand users coming back at once
 * cost each watcher one write, and a user who flaps costs one frame.
 */
@Injectable()
export class PresenceWatch implements OnModuleDestroy {
  private readonly watchersOf = new Map<UserId, Set<Watcher>>();
  private readonly watchedBy = new Map<Watcher, Set<UserId>>();
  private readonly endChanges: () => void;
  private changed = new Map<UserId, PresenceView>();
  private timer: NodeJS.Timeout | undefined;
  /** When the oldest change among `changed` came. */
  private changedSince = 0;
  /** What was noted later is told later, however long the database takes. */
  private telling: Promise<void> = Promise.resolve();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly store: PresenceStore,
    private readonly privacy: LastSeenPrivacy,
    private readonly metrics: Metrics,
  ) {
    this.endChanges = store.onChange((view) => {
      this.note(view);
    });
  }

  /** Users that are watched by anybody here. */
  get size(): number {
    return this.watchersOf.size;
  }

  /** All of `userIds`, or, if they would be more than `limits.presenceWatchMax` with those before, none. */
  watch(watcher: Watcher, userIds: readonly UserId[]): 'watching' | 'tooMany' {
    const watched = this.watchedBy.get(watcher) ?? new Set<UserId>();
    const added = new Set(userIds.filter((userId) => !watched.has(userId)));
    if (watched.size + added.size > this.config.limits.presenceWatchMax) return 'tooMany';
    for (const userId of added) {
      watched.add(userId);
      const watchers = this.watchersOf.get(userId);
      if (watchers === undefined) this.watchersOf.set(userId, new Set([watcher]));
      else watchers.add(watcher);
    }
    if (watched.size > 0) this.watchedBy.set(watcher, watched);
    return 'watching';
  }

  /**
   * Resolves when every change of those of them who are watched here will be told. Asked after that, the store
   * answers nothing that a later change does not correct. Rejects while the store is down.
   */
  async following(userIds: readonly UserId[]): Promise<void> {
    await this.store.follow(userIds.filter((userId) => this.watchersOf.has(userId)));
  }

  /** Of these, what anybody may be shown. */
  async seen(userIds: readonly UserId[]): Promise<ServerFrameData<'presence'>[]> {
    const views = await this.store.get(userIds);
    const hiding = await this.hiding(views);
    return views.map((view) => toPresenceDto(view, hiding));
  }

  unwatch(watcher: Watcher, userIds: readonly UserId[]): void {
    const watched = this.watchedBy.get(watcher);
    if (watched === undefined) return;
    for (const userId of userIds) {
      if (watched.delete(userId)) this.leave(userId, watcher);
    }
    if (watched.size === 0) this.watchedBy.delete(watcher);
  }

  /** The socket is gone. */
  forget(watcher: Watcher): void {
    for (const userId of this.watchedBy.get(watcher) ?? []) this.leave(userId, watcher);
    this.watchedBy.delete(watcher);
  }

  onModuleDestroy(): void {
    this.endChanges();
    clearTimeout(this.timer);
  }

  private note(view: PresenceView): void {
    if (!this.watchersOf.has(view.userId)) return;
    if (this.changed.size === 0) this.changedSince = performance.now();
    this.changed.set(view.userId, view);
    this.timer ??= setTimeout(() => {
      const [changed, since] = [this.changed, this.changedSince];
      this.changed = new Map();
      this.timer = undefined;
      this.telling = this.telling.then(() => this.tell([...changed.values()], since));
    }, PRESENCE_BATCH_MS).unref();
  }

  private async tell(views: readonly PresenceView[], since: number): Promise<void> {
    const hiding = await this.hiding(views);
    this.metrics.presenceStalenessMs.observe(performance.now() - since);
    for (const view of views) {
      const frame: ServerFrame = { event: 'presence', data: toPresenceDto(view, hiding) };
      const bytes = Buffer.from(JSON.stringify(frame));
      for (const watcher of this.watchersOf.get(view.userId) ?? []) watcher.hint(bytes);
    }
  }

  private hiding(views: readonly PresenceView[]): Promise<ReadonlySet<UserId>> {
    const wereHere = views.filter(({ lastSeenAt }) => lastSeenAt !== undefined);
    return this.privacy.hiding(wereHere.map(({ userId }) => userId));
  }

  private leave(userId: UserId, watcher: Watcher): void {
    const watchers = this.watchersOf.get(userId);
    watchers?.delete(watcher);
    if (watchers?.size !== 0) return;
    this.watchersOf.delete(userId);
    this.store.unfollow([userId]);
  }
}
