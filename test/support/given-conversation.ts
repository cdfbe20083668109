import { decide } from '../../src/domain/conversation/decide';
import { evolve } from '../../src/domain/conversation/evolve';
import type {
  ConversationCommand,
  LookupRequest,
  RefusalCode,
  SendMessage,
} from '../../src/domain/conversation/commands';
import type { Decision } from '../../src/domain/conversation/decision';
import type {
  ConversationChanged,
  ConversationEvent,
  ConversationStarted,
  MembershipChange,
  MembershipChanged,
  MessageSent,
  Recorded,
  Role,
} from '../../src/domain/conversation/events';
import type { ConversationState } from '../../src/domain/conversation/state';
import {
  asClientMessageId,
  asConversationId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
  type Millis,
  type UserId,
} from '../../src/kernel/ids';

export const CONVERSATION = asConversationId('019aa000-0000-7000-8000-000000000001');
export const ANNA = asUserId('019aa000-0000-7000-8000-00000000000a');
export const BEN = asUserId('019aa000-0000-7000-8000-00000000000b');
export const CARA = asUserId('019aa000-0000-7000-8000-00000000000c');
export const DORA = asUserId('019aa000-0000-7000-8000-00000000000d');
/** Never a member of anything. */
export const STRANGER = asUserId('019aa000-0000-7000-8000-00000000000f');

/** When the event at seq 0 happened; each later one a second after the one before. */
const BEGINNING = Date.UTC(2026, 10, 22, 10);
export const atSeq = (seq: number): Millis => asMillis(BEGINNING + seq * 1_000);

/** A UUIDv7 born at `birth`; `salt` tells apart those of one millisecond. */
export function keyBornAt(birth: number, salt = 0): string {
  const time = birth.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${salt.toString(16).padStart(12, '0')}`;
}

/** The events as the log would hold them, from seq 0 on. */
export const recorded = (events: readonly ConversationEvent[]): readonly Recorded[] =>
  events.map((event, seq) => ({ conversationId: CONVERSATION, seq: asSeq(seq), at: atSeq(seq), event }));

export const stateAfter = (events: readonly ConversationEvent[]): ConversationState | undefined =>
  recorded(events).reduce<ConversationState | undefined>((state, event) => evolve(state, event), undefined);

type Fields<T> = T extends unknown ? Omit<T, 'conversationId' | 'at'> & { readonly at?: Millis } : never;
/** A command to {@link CONVERSATION}, a second after the last event unless it says otherwise. */
export type CommandFields = Fields<ConversationCommand>;

/** Decides a command after what has happened; then says what must have become of it. */
export function given(...events: readonly ConversationEvent[]) {
  return {
    when: (fields: CommandFields) => decided(events, fields),
    state: () => stateAfter(events),
  };
}

function decided(before: readonly ConversationEvent[], fields: CommandFields) {
  const command = {
    at: atSeq(before.length),
    ...fields,
    conversationId: CONVERSATION,
  } as ConversationCommand;
  const decision = decide(command, stateAfter(before));
  return {
    decision,
    /** Exactly these events are recorded, and sending the command again records nothing more. */
    then(...events: readonly ConversationEvent[]): void {
      expect(decision).toEqual({ kind: 'accepted', events });
      const again = decide(command, stateAfter([...before, ...events]));
      // An edit says "this is the content now" each time; everything else is done once.
      expect(again.kind).toBe(
        { SendMessage: 'repeated', EditMessage: 'accepted' }[command.type as string] ?? 'unchanged',
      );
    },
    refuses(code: RefusalCode, field?: string): void {
      expect(decision).toEqual({
        kind: 'refused',
        refusal: { code, detail: expect.stringMatching(/^[A-Z].*\.$/) as string, ...(field && { field }) },
      });
    },
    /** Answered like the message that is already stored at `seq`. */
    repeats(seq: number): void {
      expect(decision).toMatchObject({ kind: 'repeated', message: { seq } });
    },
    changesNothing(): void {
      expect(decision).toEqual({ kind: 'unchanged' } satisfies Decision);
    },
    asksIndex(request: Partial<LookupRequest>): void {
      expect(decision).toMatchObject({ kind: 'lookup', request });
    },
  };
}

/** A group of Anna (owner), Ben and Cara. */
export const groupStarted = (fields: Partial<ConversationStarted> = {}): ConversationStarted => ({
  type: 'ConversationStarted',
  by: ANNA,
  kind: 'group',
  memberIds: [ANNA, BEN, CARA],
  ...fields,
});

/** Anna and Ben alone. */
export const directStarted = (): ConversationStarted => ({
  type: 'ConversationStarted',
  by: ANNA,
  kind: 'direct',
  memberIds: [ANNA, BEN],
});

export const settingsChanged = (
  settings: ConversationChanged['settings'],
  by = ANNA,
): ConversationChanged => ({
  type: 'ConversationChanged',
  by,
  ...(settings && { settings }),
});

export const membership = (
  by: UserId,
  userId: UserId,
  change: MembershipChange,
  role?: Role,
): MembershipChanged => ({ type: 'MembershipChanged', by, userId, change, ...(role && { role }) });

/** The message with this ordinal, with a key and an id made from it. */
export const sent = (by: UserId, ordinal: number, fields: Partial<MessageSent> = {}): MessageSent => ({
  type: 'MessageSent',
  by,
  messageId: asMessageId(`message-${ordinal}`),
  clientMessageId: asClientMessageId(`key-${ordinal}`),
  ordinal: asOrdinal(ordinal),
  content: { type: 'text', body: `hello ${ordinal}` },
  contentHash: `hash-${ordinal}`,
  ...fields,
});

/** The command that records {@link sent}. */
export function sending(event: MessageSent, fields: { readonly at?: Millis } = {}): Fields<SendMessage> {
  const { type: _type, ordinal: _ordinal, expiresAt: _expiresAt, ...chosen } = event;
  return { type: 'SendMessage', ...chosen, ...fields };
}
