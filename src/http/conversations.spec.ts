import { callInContract, ME, startHttpApp, TOKEN, type TestHttpApp } from '../../test/support/http-app';
import {
  AddMembersCommand,
  ChangeConversationCommand,
  ChangeRoleCommand,
  DeleteMessageCommand,
  EditMessageCommand,
  LeaveConversationCommand,
  MarkReadCommand,
  RemoveMemberCommand,
  SendMessageCommand,
  SetReactionCommand,
  StartConversationCommand,
} from '../application/commands/commands';
import type { Outcome } from '../application/outcome';
import type { ConversationView, MessageView } from '../application/ports/read-models';
import type { ConversationEvent } from '../domain/conversation/events';
import {
  asClientMessageId,
  asConversationId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
} from '../kernel/ids';
import { POSITION_START } from '../kernel/position';
import { DEFAULT_LIMITS } from '../protocol/limits';

const ID = asConversationId('019a0000-0000-7000-8000-000000000001');
const OTHER = asUserId('019a0000-0000-7000-8000-00000000000b');
const MESSAGE_ID = asMessageId('019a0000-0000-7000-8000-0000000000aa');
const AT = asMillis(1_790_000_000_000);
const CONVERSATION = `/api/v1/conversations/${ID}`;

const accepted = (event: ConversationEvent, seq = 7): Outcome => ({
  kind: 'accepted',
  events: [{ conversationId: ID, seq: asSeq(seq), at: AT, event }],
  position: POSITION_START,
});
const changed = accepted({ type: 'ConversationChanged', by: ME, title: 'x' });
const found = (value: unknown) => ({ kind: 'found', value });

const message: MessageView = {
  conversationId: ID,
  seq: asSeq(3),
  ordinal: asOrdinal(1),
  messageId: MESSAGE_ID,
  clientMessageId: 'key',
  senderId: ME,
  at: AT,
  content: { type: 'text', body: 'hello' },
  mentions: [],
  version: 1,
  reactions: [{ emoji: '👍', count: 1, userIds: [OTHER], mine: false }],
};
const conversation: ConversationView = {
  id: ID,
  kind: 'group',
  title: 'tea',
  members: [{ userId: ME, role: 'owner', joinedAt: AT }],
  memberCount: 1,
  settings: { historyVisibility: 'joined', whoMayInvite: 'everyone', whoMayPost: 'everyone' },
  headSeq: asSeq(7),
  lastOrdinal: asOrdinal(1),
  lastMessage: message,
  unreadCount: 0,
  mentionCount: 0,
  readUpTo: -1,
  createdAt: AT,
  activeAt: AT,
};

describe('REST on conversations', () => {
  let http: TestHttpApp;
  beforeAll(async () => {
    http = await startHttpApp();
  });
  afterAll(() => http.stop());
  beforeEach(() => {
    jest.resetAllMocks();
  });

  const call = (method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>) =>
    callInContract(http, method, path, body, headers);

  const executes = (answer: unknown) => http.commands['execute']?.mockResolvedValueOnce(answer);
  const reads = (answer: unknown) => http.queries['execute']?.mockResolvedValueOnce(answer);
  const commandAt = (index: number): unknown =>
    (http.commands['execute']?.mock.calls as unknown[][])[index]?.[0];
  const queryInput = (): unknown => {
    const [query] = (http.queries['execute']?.mock.calls as { input: unknown }[][])[0] ?? [];
    return query?.input;
  };
  const sentInput = (): unknown => {
    const [command] = (http.commands['execute']?.mock.calls as { input: unknown }[][]).at(-1) ?? [];
    return command?.input;
  };

  it.each<readonly [string, string, unknown, new (input: never) => object, object]>([
    ['PATCH', CONVERSATION, { title: 'x' }, ChangeConversationCommand, { title: 'x' }],
    ['POST', `${CONVERSATION}/read`, { upTo: 3 }, MarkReadCommand, { upTo: 3 }],
    ['POST', `${CONVERSATION}/members`, { userIds: [OTHER] }, AddMembersCommand, { userIds: [OTHER] }],
    [
      'PATCH',
      `${CONVERSATION}/members/${OTHER}`,
      { role: 'admin' },
      ChangeRoleCommand,
      { userId: OTHER, role: 'admin' },
    ],
    ['DELETE', `${CONVERSATION}/members/${OTHER}`, undefined, RemoveMemberCommand, { userId: OTHER }],
    ['DELETE', `${CONVERSATION}/members/${ME}`, undefined, LeaveConversationCommand, {}],
    ['DELETE', `${CONVERSATION}/members/me`, undefined, LeaveConversationCommand, {}],
    [
      'PATCH',
      `${CONVERSATION}/messages/3`,
      { content: { type: 'text', body: 'x' } },
      EditMessageCommand,
      { target: 3, content: { type: 'text', body: 'x' } },
    ],
    [
      'DELETE',
      `${CONVERSATION}/messages/3`,
      undefined,
      DeleteMessageCommand,
      { target: 3, scope: 'everyone' },
    ],
    [
      'DELETE',
      `${CONVERSATION}/messages/3?scope=me`,
      undefined,
      DeleteMessageCommand,
      { target: 3, scope: 'me' },
    ],
    [
      'PUT',
      `${CONVERSATION}/messages/3/reactions/%F0%9F%91%8D`,
      undefined,
      SetReactionCommand,
      { emoji: '👍', on: true },
    ],
    [
      'DELETE',
      `${CONVERSATION}/messages/3/reactions/%2F`,
      undefined,
      SetReactionCommand,
      { emoji: '/', on: false },
    ],
  ])('%s %s', async (method, path, body, command, input) => {
    executes(changed);
    const answer = await call(method, path, body);
    expect([answer.status, answer.body]).toEqual([200, { seq: 7 }]);
    expect(commandAt(0)).toBeInstanceOf(command);
    expect(sentInput()).toMatchObject({ by: ME, conversationId: ID, ...input });
  });

  it('answers what nothing came of with the head to wait for', async () => {
    executes({ kind: 'unchanged', head: 5 });
    expect((await call('POST', `${CONVERSATION}/read`, { upTo: 3 })).body).toEqual({ seq: 5 });
    executes({ kind: 'unchanged', head: -1 });
    expect((await call('POST', `${CONVERSATION}/read`, { upTo: 3 })).body).toEqual({});
  });

  it.each([
    ['not_found', 404],
    ['not_a_member', 403],
    ['forbidden', 403],
    ['invalid_input', 400],
  ])('answers the refusal %s as a problem of status %i', async (code, status) => {
    executes({ kind: 'refused', refusal: { code, detail: 'because', field: 'upTo' } });
    const answer = await call('POST', `${CONVERSATION}/read`, { upTo: 3 });
    expect([answer.status, answer.body['code']]).toEqual([status, code]);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
  });

  it('answers a store that is down as unavailable, with the time to wait', async () => {
    executes({ kind: 'unavailable', detail: 'the log is down', retryAfterMs: 1_500 });
    const answer = await call('POST', `${CONVERSATION}/read`, { upTo: 3 });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
    expect(answer.body).toMatchObject({ code: 'unavailable', retryable: true, retryAfterMs: 1_500 });
  });

  describe('sending', () => {
    const sent = accepted({
      type: 'MessageSent',
      by: ME,
      messageId: MESSAGE_ID,
      clientMessageId: asClientMessageId('key'),
      ordinal: asOrdinal(1),
      content: { type: 'text', body: 'hello' },
      contentHash: 'x',
    });
    const ack = {
      conversationId: ID,
      clientMessageId: 'key',
      messageId: MESSAGE_ID,
      seq: 7,
      ordinal: 1,
      at: new Date(AT).toISOString(),
    };
    const body = { content: { type: 'text', body: 'hello' } };

    it.each([
      ['Idempotency-Key', body, { 'idempotency-key': 'key' }],
      ['a quoted Idempotency-Key', body, { 'idempotency-key': '"key"' }],
      ['clientMessageId', { ...body, clientMessageId: 'key' }, {}],
      ['both', { ...body, clientMessageId: 'key' }, { 'idempotency-key': 'key' }],
    ])('acknowledges a message with %s', async (_how, given, headers) => {
      executes({ conversationId: ID, outcome: sent });
      const answer = await call('POST', `${CONVERSATION}/messages`, given, headers);
      expect([answer.status, answer.body]).toEqual([201, { ...ack, duplicate: false }]);
      expect(commandAt(0)).toBeInstanceOf(SendMessageCommand);
      expect(sentInput()).toMatchObject({ by: ME, conversationId: ID, clientMessageId: 'key', ...body });
    });

    it('acknowledges a retry with the first place', async () => {
      const { messageId, seq, ordinal } = { messageId: MESSAGE_ID, seq: 7, ordinal: 1 };
      const stored = { messageId, seq, ordinal, at: AT, contentHash: 'x' };
      executes({ conversationId: ID, outcome: { kind: 'repeated', message: stored } });
      const answer = await call('POST', `${CONVERSATION}/messages`, { ...body, clientMessageId: 'key' });
      expect([answer.status, answer.body]).toEqual([200, { ...ack, duplicate: true }]);
    });

    it('grants the burst and refuses one more with the time to wait; others do not notice', async () => {
      const limited = await startHttpApp({
        limits: { ...DEFAULT_LIMITS, messagesBurst: 3, messagesPerSecond: 1 },
      });
      limited.commands['execute']?.mockResolvedValue({ conversationId: ID, outcome: sent });
      const statuses: number[] = [];
      let last: unknown;
      for (let count = 0; count < 4; count++) {
        const response = await fetch(`${limited.url}${CONVERSATION}/messages`, {
          method: 'POST',
          headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
          body: JSON.stringify({ ...body, clientMessageId: 'key' }),
        });
        statuses.push(response.status);
        last = { after: response.headers.get('retry-after'), body: await response.json() };
      }
      await limited.stop();
      expect(statuses).toEqual([201, 201, 201, 429]);
      expect(last).toMatchObject({ after: '1', body: { code: 'rate_limited', retryable: true } });
    });
  });

  describe('conversations', () => {
    const started = accepted(
      { type: 'ConversationStarted', by: ME, kind: 'group', memberIds: [ME, OTHER] },
      0,
    );

    it('start, and are read back with what was written', async () => {
      executes({ conversationId: ID, outcome: started });
      reads(found(conversation));
      const answer = await call('POST', '/api/v1/conversations', { kind: 'group', memberIds: [OTHER] });
      expect([answer.status, answer.body['id'], answer.body['seq']]).toEqual([201, ID, 0]);
      expect(commandAt(0)).toBeInstanceOf(StartConversationCommand);
      expect(queryInput()).toEqual({ userId: ME, conversationId: ID, minSeq: 0 });
    });

    it('start once for one key', async () => {
      const ids: unknown[] = [];
      for (const key of ['a', 'a', 'b']) {
        executes({ conversationId: ID, outcome: started });
        reads(found(conversation));
        const body = { kind: 'group', memberIds: [OTHER] };
        await call('POST', '/api/v1/conversations', body, { 'idempotency-key': key });
        ids.push((sentInput() as { conversationId: string }).conversationId);
      }
      expect(ids[0]).toBe(ids[1]);
      expect(ids[0]).not.toBe(ids[2]);
    });

    it('answer 200 when the direct one was there', async () => {
      executes({ conversationId: ID, outcome: { kind: 'unchanged', head: 7 } });
      reads(found({ ...conversation, kind: 'direct' }));
      const answer = await call('POST', '/api/v1/conversations', { kind: 'direct', memberIds: [OTHER] });
      expect([answer.status, answer.body['seq']]).toEqual([200, 7]);
    });

    it('come in pages', async () => {
      reads(found({ items: [conversation], hasMore: true, nextCursor: 'c' }));
      const answer = await call('GET', '/api/v1/conversations?limit=1&cursor=b');
      expect(answer.body).toMatchObject({ items: [{ id: ID, lastMessage: { seq: 3 } }], nextCursor: 'c' });
    });

    it('show their members in pages', async () => {
      reads(found({ items: conversation.members, hasMore: true }));
      const answer = await call('GET', `${CONVERSATION}/members?limit=1`);
      expect(answer.body).toMatchObject({ items: [{ userId: ME, role: 'owner' }], nextCursor: ME });
      expect((await call('GET', `${CONVERSATION}/members?cursor=x`)).status).toBe(400);
    });

    it('show their events as frames', async () => {
      const event = { type: 'ConversationChanged', by: ME, title: 'x' };
      reads(found({ items: [{ conversationId: ID, seq: 7, at: AT, event }], hasMore: true, next: 7 }));
      const answer = await call('GET', `${CONVERSATION}/events?after=6&limit=1000`);
      expect(answer.body).toMatchObject({
        items: [{ event: 'conversation.changed', data: { seq: 7, by: ME, title: 'x' } }],
        hasMore: true,
        nextCursor: '7',
      });
      expect((await call('GET', `${CONVERSATION}/events?limit=1001`)).status).toBe(400);
    });

    it('show messages, receipts and a message', async () => {
      reads(found({ items: [message], hasMore: false }));
      const page = await call('GET', `${CONVERSATION}/messages?around=3&limit=10&minSeq=2`);
      expect(page.body).toMatchObject({ items: [{ seq: 3, content: { body: 'hello' } }], hasMore: false });
      expect(queryInput()).toEqual({ userId: ME, conversationId: ID, limit: 10, around: 3, minSeq: 2 });
      reads(found(message));
      expect((await call('GET', `${CONVERSATION}/messages/3`)).body).toMatchObject({ seq: 3 });
      reads(found({ delivered: [{ userId: OTHER, upTo: 3 }], read: [] }));
      const receipts = await call('GET', `${CONVERSATION}/messages/3/receipts`);
      expect(receipts.body).toEqual({ delivered: [{ userId: OTHER, upTo: 3 }], read: [] });
    });

    it('are shown as they were', async () => {
      const { id, kind, title, members, memberCount, settings, lastOrdinal, createdAt } = conversation;
      const fields = { id, kind, title, memberCount, settings, lastOrdinal };
      reads(found({ ...fields, members, createdAt, asOf: asSeq(4) }));
      const answer = await call('GET', `${CONVERSATION}?at=4&minSeq=5`);
      const at = new Date(AT).toISOString();
      expect(answer.body).toEqual({
        ...fields,
        members: [{ userId: ME, role: 'owner', joinedAt: at }],
        createdAt: at,
        asOf: 4,
      });
      expect(queryInput()).toEqual({ userId: ME, conversationId: ID, at: 4, minSeq: 5 });
      expect((await call('GET', `${CONVERSATION}?at=-1`)).status).toBe(400);
    });

    it('show the versions of a message', async () => {
      const content = { type: 'text', body: 'hello' };
      const versions = [
        { version: 1, content, at: AT, seq: 3 },
        { version: 2, content: null, at: AT, seq: 5 },
      ];
      reads(found({ items: versions, hasMore: false }));
      const answer = await call('GET', `${CONVERSATION}/messages/3/versions?limit=2&after=2&minSeq=5`);
      const at = new Date(AT).toISOString();
      expect(answer.body).toEqual({ items: versions.map((one) => ({ ...one, at })), hasMore: false });
      expect(queryInput()).toEqual({ userId: ME, conversationId: ID, seq: 3, limit: 2, after: 2, minSeq: 5 });
    });

    it('let disappearing be turned off', async () => {
      executes(changed);
      const settings = { disappearAfterSeconds: 0 };
      expect((await call('PATCH', CONVERSATION, { settings })).status).toBe(200);
      expect(sentInput()).toMatchObject({ settings });
      const negative = { settings: { disappearAfterSeconds: -1 } };
      expect((await call('PATCH', CONVERSATION, negative)).status).toBe(400);
    });

    it.each(['not_found', 'unavailable', 'invalid_input', 'cursor_truncated'])(
      'refuse a read: %s',
      async (code) => {
        reads({ kind: 'refused', refusal: { code, detail: 'because' } });
        expect((await call('GET', `${CONVERSATION}/events`)).body['code']).toBe(code);
      },
    );
  });
});
