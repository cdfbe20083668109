import type { ClientFrameData, ServerFrame, ServerFrameData } from '../src/protocol/frames';
import { isRetryable } from './errors';

export type OwnStatus = ClientFrameData<'presence.set'>['status'];
type Presence = ServerFrameData<'presence'>;
type StandingName = 'presence.set' | 'presence.watch' | 'presence.unwatch' | 'focus' | 'unfocus';

/**
 * What the server forgets with the socket and a person expects to hold: own presence, watched people, the
 * conversation on screen. Said again after every reconnect; never waited for.
 */
export class Standing {
  private presence: ClientFrameData<'presence.set'> | undefined;
  private readonly watched = new Set<string>();
  private focused: string | undefined;
  private open = false;

  constructor(
    private readonly request: (event: StandingName, data: never) => Promise<ServerFrame>,
    private readonly told: {
      presences(presences: readonly Presence[]): void;
      failed(error: unknown): void;
    },
  ) {}

  restore(): void {
    this.open = true;
    if (this.presence !== undefined) this.say('presence.set', this.presence);
    if (this.watched.size > 0) this.say('presence.watch', { userIds: [...this.watched] });
    if (this.focused !== undefined) this.say('focus', { conversationId: this.focused });
  }

  pause(): void {
    this.open = false;
  }

  setPresence(status: OwnStatus, customStatus: string | undefined): void {
    this.presence = { status, ...(customStatus === undefined ? {} : { customStatus }) };
    this.say('presence.set', this.presence);
  }

  watch(userIds: readonly string[]): void {
    for (const id of userIds) this.watched.add(id);
    this.say('presence.watch', { userIds: [...userIds] });
  }

  unwatch(userIds: readonly string[]): void {
    for (const id of userIds) this.watched.delete(id);
    this.say('presence.unwatch', { userIds: [...userIds] });
  }

  focus(conversationId: string | undefined): void {
    const before = this.focused;
    this.focused = conversationId;
    if (conversationId !== undefined) this.say('focus', { conversationId });
    else if (before !== undefined) this.say('unfocus', { conversationId: before });
  }

  private say<Name extends StandingName>(event: Name, data: ClientFrameData<Name>): void {
    if (!this.open) return;
    this.request(event, data as never).then(
      (frame) => {
        if (frame.event === 'ok') this.told.presences(frame.data.presences ?? []);
      },
      (error: unknown) => {
        // A lost connection brings it back through `restore`.
        if (!isRetryable(error)) this.told.failed(error);
      },
    );
  }
}
