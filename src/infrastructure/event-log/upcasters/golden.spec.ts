import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromStored, toStored } from '../../../domain/conversation/codec';
import {
  CONVERSATION_EVENT_TYPES,
  type ConversationEvent,
  type ConversationEventType,
} from '../../../domain/conversation/events';
import { asConversationId, asSeq } from '../../../kernel/ids';
import { upcast, type StoredEvent } from './upcast';

const FOLDER = join(__dirname, '..', '..', '..', '..', 'test', 'golden');
const NAME = /^(\w+)\.v(\d+)\.json$/;
const conversationId = asConversationId('01938f3a-0000-7000-8000-000000000099');

type FieldsOf<Type extends ConversationEventType> = Exclude<
  keyof Extract<ConversationEvent, { type: Type }>,
  'type'
>;

/**
 * Every field an event may have today, with the version it came with. A field added to an event does not compile
 * until it is in here.
 */
const FIELDS: { readonly [Type in ConversationEventType]: Readonly<Record<FieldsOf<Type>, 1 | 2>> } = {
  ConversationStarted: { by: 1, kind: 1, title: 1, memberIds: 1, settings: 1 },
  ConversationChanged: { by: 1, title: 1, description: 1, avatarFileId: 1, settings: 1 },
  MembershipChanged: { by: 1, userId: 1, change: 1, role: 1 },
  MessageSent: {
    by: 1,
    messageId: 1,
    clientMessageId: 1,
    ordinal: 1,
    content: 1,
    contentHash: 1,
    replyTo: 1,
    threadOf: 1,
    forwardedFrom: 1,
    mentions: 1,
    expiresAt: 1,
    originalAt: 1,
  },
  MessageEdited: { by: 1, target: 1, content: 1, version: 1 },
  MessageDeleted: { by: 1, target: 1 },
  ReactionChanged: { by: 1, target: 1, emoji: 1, change: 1 },
  MessageDelivered: { by: 1, cursors: 1, audience: 1, packed: 2 },
  MessageRead: { by: 1, cursors: 1, audience: 1, packed: 2 },
};

const files = readdirSync(FOLDER).filter((name) => NAME.test(name));
const load = (name: string): StoredEvent =>
  JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as StoredEvent;

describe('events as they were stored', () => {
  it.each(CONVERSATION_EVENT_TYPES)('there is an example of %s in every version', (type) => {
    const versions = files.map((name) => NAME.exec(name)).filter((match) => match?.[1] === type);
    expect(versions.map((match) => Number(match?.[2])).sort()).toEqual(versions.map((_, n) => n + 1));
    expect(versions.length).toBeGreaterThan(0);
  });

  it.each(files)('%s is still understood, field by field', (name) => {
    const stored = load(name);
    const [, type, version] = NAME.exec(name) as unknown as [string, ConversationEventType, string];
    expect(stored.metadata).toMatchObject({ schemaVersion: Number(version) });
    const current = upcast(type, stored.data, stored.metadata);
    const recorded = fromStored(conversationId, { ...current, seq: asSeq(1) });
    expect(recorded?.event.type).toBe(type);
    const known = Object.entries(FIELDS[type]).filter(([, since]) => since <= Number(version));
    expect(Object.keys(toStored((recorded as { event: ConversationEvent }).event).data).sort()).toEqual(
      known.map(([field]) => field).sort(),
    );
    expect(recorded?.at).toBe(Date.parse('2026-11-22T10:00:00.000Z'));
  });
});

describe('upcast', () => {
  const first: StoredEvent = { type: 'Said', data: { text: 'hi' }, metadata: { schemaVersion: 1 } };

  it('leaves an event of the newest version as it is', () => {
    const event = upcast(first.type, first.data, first.metadata);
    expect(event.data).toBe(first.data);
    expect(event.metadata).toBe(first.metadata);
  });

  it('goes through all versions in order, also over a new name', () => {
    const upcasters = new Map([
      ['Said/1', ({ data }: StoredEvent) => ({ type: 'Said', data: [data], metadata: { schemaVersion: 2 } })],
      [
        'Said/2',
        ({ data }: StoredEvent) => ({ type: 'Spoken', data: [data], metadata: { schemaVersion: 3 } }),
      ],
    ]);
    expect(upcast(first.type, first.data, first.metadata, upcasters)).toEqual({
      type: 'Spoken',
      data: [[{ text: 'hi' }]],
      metadata: { schemaVersion: 3 },
    });
  });

  it('ends with an error when upcasters go in circles', () => {
    const upcasters = new Map([['Said/1', (event: StoredEvent) => event]]);
    expect(() => upcast(first.type, first.data, first.metadata, upcasters)).toThrow('never end');
  });

  it.each([undefined, null, 'text', {}])('takes metadata %j for version 1', (metadata) => {
    expect(upcast('Said', {}, metadata).type).toBe('Said');
  });
});
