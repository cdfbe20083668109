import type { EventFrame, EventFrameName } from '../src/protocol/events';
import type { ServerFrameData } from '../src/protocol/frames';
import type { Ready } from './connection';
import type { StopReason } from './errors';
import type { LocalContent, LocalMessage } from './local-message';
import type { Ack } from './outbox';
import type { SyncedConversation } from './synchronizer';

type Data<Name extends EventFrameName> = Extract<EventFrame, { event: Name }>['data'];
/** With a text message's body at hand; other contents have fields of their own. */
type WithContent<T extends { content: object }> = Omit<T, 'content'> & { readonly content: LocalContent };

type StoredEvents = {
  [Name in EventFrameName]: Data<Name> extends { content: object } ? WithContent<Data<Name>> : Data<Name>;
};

export type EphemeralName =
  'typing' | 'presence' | 'call.signal' | 'conversation.activity' | 'receipt.summary';
type EphemeralEvents = { [Name in EphemeralName]: ServerFrameData<Name> };

/** How a message of this device is doing. */
export type OutboxChange =
  | { readonly kind: 'queued'; readonly message: LocalMessage; readonly size: number }
  | { readonly kind: 'acknowledged'; readonly ack: Ack; readonly size: number }
  | {
      readonly kind: 'refused';
      readonly clientMessageId: string;
      readonly error: Error;
      readonly size: number;
    };

interface LifecycleEvents {
  /** The socket is up; what was missed is on its way. */
  connected: Ready;
  disconnected: { readonly why: string; readonly retryInMs: number };
  /** Everything missed has been handed over; from here on events are live. */
  synced: { readonly conversations: number };
  /** The server dropped pushes for this device because it read too slowly; a sync is on its way. */
  resync: { readonly conversationIds: readonly string[] };
  /** Events between this device's cursor and `from` are left out; `ParleyApi.events` has them. */
  limited: { readonly conversationId: string; readonly from: number; readonly headSeq: number };
  /** A conversation as the server sums it up: at every sync, for those that moved. */
  conversation: SyncedConversation;
  /** This user no longer belongs to the conversation. */
  removed: { readonly conversationId: string };
  /** The server's log is another one (an older backup): everything known from before is void. */
  epoch: { readonly epoch: string | undefined };
  outbox: OutboxChange;
  /** The client has ended and does not reconnect by itself. */
  stopped: { readonly reason: StopReason };
  /** A handler that threw, a store that failed, an error of the server that answers no request. */
  error: unknown;
}

/** Every event of a {@link ParleyClient} with what its handlers are given. */
export interface ClientEvents extends StoredEvents, EphemeralEvents, LifecycleEvents {
  /** Each stored event, whatever its type, as the frame it came in. */
  event: EventFrame;
}
