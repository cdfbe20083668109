import { originalOf, type ResolvedEvent } from '../links';
import type { Place } from './settings';

/** What a group gives to a consumer and hears back of. */
export interface Message {
  /** Of the link, or of the event: what consumers acknowledge. */
  readonly id: string;
  readonly resolved: ResolvedEvent;
  /** Rises along the source; negative for messages that were parked and are given out again. */
  readonly order: number;
  /** The checkpoint, when everything before this message is settled and it is not. */
  readonly before: Place;
  /** Revision in the parked messages' stream, of one that comes from there. */
  readonly parkedAt: number | undefined;
  /** Times it was given out before. */
  readonly retries: number;
}

export const messageBytes = ({ resolved }: Message): number =>
  originalOf(resolved).size + (resolved.link === undefined ? 0 : (resolved.event?.size ?? 0));

/** Messages that wait for a consumer, oldest first. */
export class MessageQueue {
  private readonly messages: Message[] = [];
  private heldBytes = 0;

  get count(): number {
    return this.messages.length;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  add(message: Message): void {
    this.heldBytes += messageBytes(message);
    // Nearly always at the end; a message that comes back stands before younger ones.
    let at = this.messages.length;
    while (at > 0 && (this.messages[at - 1] as Message).order > message.order) at--;
    this.messages.splice(at, 0, message);
  }

  /**
   * Offers each in turn. `taken` leaves the queue, `kept` stays in its place, `full` ends the offering.
   * @returns whether it was not ended
   */
  offer(to: (message: Message) => 'taken' | 'kept' | 'full'): boolean {
    for (let n = 0; n < this.messages.length;) {
      const message = this.messages[n] as Message;
      const answer = to(message);
      if (answer === 'full') return false;
      if (answer === 'kept') n++;
      else {
        this.messages.splice(n, 1);
        this.heldBytes -= messageBytes(message);
      }
    }
    return true;
  }
}
