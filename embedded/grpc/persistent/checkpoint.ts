import { randomUUID } from 'node:crypto';
import type { EmbeddedEventStore } from '../../engine/event-store';
import { checkpointStreamOf, groupKey, placeOf, placeText, type Place } from './settings';

const CHECKPOINT_TYPE = '$SubscriptionCheckpoint';
/** Kept of a group; only the last one counts. */
const KEPT_CHECKPOINTS = 5;

/** How far a group has come for good, as an event of its own stream: after a restart it goes on after it. */
export class Checkpoint {
  private readonly name: string;
  private writing: Promise<void> | undefined;
  private due: Place | undefined;
  private bounded = false;
  private stored: Place | undefined;

  constructor(
    private readonly store: EmbeddedEventStore,
    private readonly stream: string,
    group: string,
  ) {
    this.name = checkpointStreamOf(groupKey(stream, group));
  }

  /** The last one; undefined when there was none. */
  get last(): Place | undefined {
    return this.due ?? this.stored;
  }

  async load(): Promise<Place | undefined> {
    const page = await this.store.readStream(this.name, { direction: 'backwards', limit: 1 });
    if (page.kind !== 'events') return undefined;
    this.bounded = true;
    this.stored = placeOf(this.stream, page.events[0]?.dataJson);
    return this.stored;
  }

  /** Soon; a later place takes the turn of one that waits. */
  write(place: Place): void {
    this.due = place;
    this.writing ??= this.run();
  }

  /** Until all that was to be written is on the disk, or could not be. */
  async settled(): Promise<void> {
    await this.writing;
  }

  async remove(): Promise<void> {
    await this.settled();
    const page = await this.store.readStream(this.name, { direction: 'backwards', limit: 1 });
    if (page.kind === 'events') await this.store.deleteStream(this.name, 'any');
    this.stored = undefined;
  }

  private async run(): Promise<void> {
    try {
      while (this.due !== undefined) {
        const place = this.due;
        await this.append(place);
        this.stored = place;
        if (this.due === place) this.due = undefined;
      }
    } catch {
      // The disk takes no more for now. The next checkpoint says more than this one; until then, a restart
      // gives
      // out again what was settled since the last.
      this.due = undefined;
    } finally {
      this.writing = undefined;
    }
  }

  private async append(place: Place): Promise<void> {
    if (!this.bounded) {
      await this.store.setStreamMetadata(this.name, { $maxCount: KEPT_CHECKPOINTS }, 'any');
      this.bounded = true;
    }
    const data = JSON.stringify(placeText(this.stream, place));
    const event = { id: randomUUID(), type: CHECKPOINT_TYPE, isJson: true, data, metadata: '' };
    await this.store.append(this.name, [event], 'any');
  }
}
