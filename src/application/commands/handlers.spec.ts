import { startApplication, TEST_MEMBERS_MAX, type TestApplication } from '../../../test/support/application';
import {
  accepted,
  ANNA,
  BEN,
  CARL,
  group,
  messagesIn,
  newKey,
  storedIn,
  STRANGER,
} from '../../../test/support/conversation-commands';
import { directConversationId } from '../../domain/conversation/streams';
import {
  asClientMessageId,
  asConversationId,
  asSeq,
  asUserId,
  type ConversationId,
  type UserId,
} from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import * as request from './commands';

describe('command handlers', () => {
  let app: TestApplication;
  let id: ConversationId;

  beforeEach(async () => {
    app = await startApplication();
    const start = group([BEN]);
    id = start.conversationId;
    accepted(await app.executor.execute(start));
  });
  afterEach(() => app.context.close());

  const text = (body: string) => ({ type: 'text', body });
  const send = (
    input: Partial<request.SendMessageCommand['input']>,
    key: string = newKey(),
  ): Promise<request.ConversationOutcome> =>
    app.commands.execute(
      new request.SendMessageCommand({
        by: ANNA,
        clientMessageId: asClientMessageId(key),
        content: text('hello'),
        ...input,
      }),
    );
  const notFound = { kind: 'refused', refusal: { code: 'not_found' } };
  const invalid = (field: string) => ({ kind: 'refused', refusal: { code: 'invalid_input', field } });

  describe('SendMessage', () => {
    it('sends to a conversation, and answers a retry with what is stored', async () => {
      const key = newKey();
      const first = accepted((await send({ conversationId: id }, key)).outcome);
      app.clock.millis += 60_000;
      const again = await send({ conversationId: id, content: { body: 'hello', type: 'text' } }, key);
      expect(again.outcome).toMatchObject({ kind: 'repeated', message: { seq: 1, at: first.events[0]?.at } });
      expect((await send({ conversationId: id, content: text('other') }, key)).outcome).toMatchObject({
        refusal: { code: 'client_message_id_reused' },
      });
    });

    it.each([
      ['replyTo', asSeq(0)],
      ['threadOf', asSeq(0)],
      ['mentions', [BEN]],
      ['forwardedFrom', { conversationId: asConversationId(uuidv7()), seq: asSeq(3) }],
    ])('takes a retry with another %s for another message', async (field, value) => {
      const key = newKey();
      accepted((await send({ conversationId: id }, key)).outcome);
      expect((await send({ conversationId: id, [field]: value }, key)).outcome).toMatchObject({
        refusal: { code: 'client_message_id_reused' },
      });
      const stored = accepted((await send({ conversationId: id, [field]: value })).outcome);
      expect(stored.events[0]?.event).toMatchObject({ [field]: value });
    });

    it('makes the direct conversation with the first message to somebody, once', async () => {
      const [one, other] = await Promise.all([send({ to: BEN }), send({ by: BEN, to: ANNA })]);
      const direct = directConversationId(ANNA, BEN);
      expect([one.conversationId, other.conversationId]).toEqual([direct, direct]);
      for (const { outcome } of [one, other]) accepted(outcome);
      const types = (await storedIn(app.memory, direct)).map(({ type }) => type);
      expect(types).toEqual(['ConversationStarted', 'MessageSent', 'MessageSent']);
      const asked = app.users.asked;
      accepted((await send({ to: BEN })).outcome);
      expect(app.users.asked).toBe(asked);
    });

    it('goes on after a crash between the conversation and its first message', async () => {
      const key = newKey();
      app.log.appendFaults = ['none', 'unavailable'];
      expect((await send({ to: BEN }, key)).outcome).toMatchObject({ kind: 'unavailable' });
      accepted((await send({ to: BEN }, key)).outcome);
      expect(await messagesIn(app.memory, directConversationId(ANNA, BEN))).toHaveLength(1);
    });

    it('refuses what is addressed to nobody, to two, to oneself or to who does not exist', async () => {
      app.users.missing.add(CARL);
      expect((await send({})).outcome).toMatchObject(invalid('conversationId'));
      expect((await send({ conversationId: id, to: BEN })).outcome).toMatchObject(invalid('to'));
      expect((await send({ to: ANNA })).outcome).toMatchObject(invalid('to'));
      expect((await send({ to: CARL })).outcome).toMatchObject(notFound);
      expect(await storedIn(app.memory, directConversationId(ANNA, CARL))).toEqual([]);
    });

    it('answers as retryable while a store is down, and needs only the log once they have talked', async () => {
      app.users.isDown = true;
      expect((await send({ to: BEN })).outcome).toMatchObject({ kind: 'unavailable' });
      app.users.isDown = false;
      accepted((await send({ to: BEN })).outcome);
      app.users.isDown = true;
      accepted((await send({ to: BEN })).outcome);
      app.log.isDown = true;
      expect((await send({ conversationId: id })).outcome).toMatchObject({ kind: 'unavailable' });
      expect((await send({ to: CARL })).outcome).toMatchObject({ kind: 'unavailable' });
    });
  });

  describe('StartConversation and AddMembers', () => {
    const start = (input: Partial<request.StartConversationCommand['input']>) =>
      app.commands.execute(
        new request.StartConversationCommand({ by: ANNA, kind: 'group', memberIds: [BEN], ...input }),
      );

    it('starts a group under a new id, or the chosen one, which may be repeated', async () => {
      const [one, other] = [await start({}), await start({})];
      accepted(one.outcome);
      expect(other.conversationId).not.toBe(one.conversationId);
      const conversationId = asConversationId(uuidv7());
      accepted((await start({ conversationId })).outcome);
      expect(await start({ conversationId })).toEqual({
        conversationId,
        outcome: { kind: 'unchanged', head: 0 },
      });
    });

    it('starts the direct conversation of two people, whoever asks', async () => {
      accepted((await start({ kind: 'direct' })).outcome);
      const again = await start({ kind: 'direct', by: BEN, memberIds: [ANNA, BEN] });
      expect(again).toMatchObject({
        conversationId: directConversationId(ANNA, BEN),
        outcome: { kind: 'unchanged' },
      });
      expect((await start({ kind: 'direct', memberIds: [] })).outcome).toMatchObject(invalid('memberIds'));
      expect((await start({ kind: 'direct', memberIds: [BEN, CARL] })).outcome).toMatchObject(
        invalid('memberIds'),
      );
    });

    it('takes only people who exist', async () => {
      app.users.missing.add(CARL);
      expect((await start({ memberIds: [BEN, CARL] })).outcome).toMatchObject(invalid('memberIds'));
      const add = (userIds: readonly (typeof CARL)[]) =>
        app.commands.execute(new request.AddMembersCommand({ by: ANNA, conversationId: id, userIds }));
      expect(await add([CARL])).toMatchObject(invalid('userIds'));
      accepted(await add([STRANGER]));
      app.users.isDown = true;
      expect((await start({})).outcome).toMatchObject({ kind: 'unavailable' });
      expect(await add([CARL])).toMatchObject({ kind: 'unavailable' });
    });

    it('asks identity for as many people as a group may have, and no more', async () => {
      const people = Array.from({ length: TEST_MEMBERS_MAX + 1 }, () => asUserId(uuidv7()));
      const tooLarge = (field: string) => ({ refusal: { code: 'too_large', field } });
      expect((await start({ memberIds: people })).outcome).toMatchObject(tooLarge('memberIds'));
      expect(app.users.asked).toBe(0);
      // With the starter, one too many.
      const others = people.slice(1);
      expect((await start({ memberIds: others })).outcome).toMatchObject(tooLarge('memberIds'));
      const full = await start({ memberIds: others.slice(1) });
      accepted(full.outcome);
      const { conversationId } = full;
      const add = (userId: UserId) =>
        app.commands.execute(new request.AddMembersCommand({ by: ANNA, conversationId, userIds: [userId] }));
      const [late] = others as [UserId];
      expect(await add(late)).toMatchObject(tooLarge('userIds'));
      const gone = { by: ANNA, conversationId, userId: others[1] as UserId };
      accepted(await app.commands.execute(new request.RemoveMemberCommand(gone)));
      accepted(await add(late));
    });
  });

  describe('commands about one message', () => {
    const edit = (target: number, by = ANNA) =>
      app.commands.execute(
        new request.EditMessageCommand({
          by,
          conversationId: id,
          target: asSeq(target),
          content: text('edited'),
        }),
      );
    const remove = (target: number, scope: 'everyone' | 'me', by = ANNA) =>
      app.commands.execute(
        new request.DeleteMessageCommand({ by, conversationId: id, target: asSeq(target), scope }),
      );
    const react = (target: number, by = ANNA) =>
      app.commands.execute(
        new request.SetReactionCommand({
          by,
          conversationId: id,
          target: asSeq(target),
          emoji: '👍',
          on: true,
        }),
      );

    beforeEach(async () => {
      accepted((await send({ conversationId: id })).outcome);
    });

    it('find it by its seq', async () => {
      expect(accepted(await edit(1)).events[0]?.event).toMatchObject({ type: 'MessageEdited', version: 2 });
      expect(accepted(await react(1, BEN)).events[0]?.event).toMatchObject({ type: 'ReactionChanged' });
      expect(accepted(await remove(1, 'everyone')).events[0]?.event).toMatchObject({
        type: 'MessageDeleted',
      });
    });

    it.each([0, 2, 99, -1, Number.MAX_SAFE_INTEGER])('find none at %i', async (target) => {
      if (target === 2) accepted(await react(1));
      for (const outcome of [
        await edit(target),
        await react(target),
        await remove(target, 'everyone'),
        await remove(target, 'me'),
      ]) {
        expect(outcome).toMatchObject(notFound);
      }
    });

    it('close the window for edits when the configuration says', async () => {
      app.clock.millis += 300_000;
      accepted(await edit(1));
      app.clock.millis += 1;
      expect(await edit(1)).toMatchObject({ refusal: { code: 'edit_window_closed' } });
    });

    it('hide it from oneself alone, and leave the log as it is', async () => {
      expect(await remove(1, 'me', BEN)).toEqual({ kind: 'unchanged', head: 1 });
      expect(app.history.hidden).toEqual([`${BEN}/${id}/1`]);
      expect(await remove(1, 'me', STRANGER)).toMatchObject(notFound);
      app.history.isDown = true;
      expect(await remove(1, 'me')).toMatchObject({ kind: 'unavailable' });
      expect(await storedIn(app.memory, id)).toHaveLength(2);
    });

    it('do not hide what came before one’s time', async () => {
      accepted(
        await app.commands.execute(
          new request.AddMembersCommand({ by: ANNA, conversationId: id, userIds: [CARL] }),
        ),
      );
      expect(await remove(1, 'me', CARL)).toMatchObject(notFound);
    });

    it('answer as retryable while the log is down', async () => {
      app.log.isDown = true;
      for (const outcome of [await edit(1), await react(1), await remove(1, 'everyone'), await markRead(1)]) {
        expect(outcome).toMatchObject({ kind: 'unavailable' });
      }
    });
  });

  const markRead = (upTo: number, by = BEN) =>
    app.commands.execute(new request.MarkReadCommand({ by, conversationId: id, upTo: asSeq(upTo) }));

  describe('MarkRead', () => {
    it('is durable when it answers, and moves forward only', async () => {
      accepted((await send({ conversationId: id })).outcome);
      expect(accepted(await markRead(1)).events[0]?.event).toMatchObject({
        cursors: [{ userId: BEN, upTo: 1 }],
      });
      expect(await markRead(0)).toEqual({ kind: 'unchanged', head: 2 });
    });

    it('refuses what lies beyond the head, and strangers', async () => {
      expect(await markRead(1)).toMatchObject(invalid('upTo'));
      expect(await markRead(0, STRANGER)).toMatchObject(notFound);
      expect(await markRead(99, STRANGER)).toMatchObject(notFound);
      expect(await storedIn(app.memory, id)).toHaveLength(1);
    });
  });

  it('hands the rest on, with who asked and where from', async () => {
    const by = { by: ANNA, conversationId: id, context: { correlationId: 'c-1' } };
    for (const command of [
      new request.ChangeConversationCommand({ ...by, title: 'New plans' }),
      new request.ChangeRoleCommand({ ...by, userId: BEN, role: 'admin' }),
      new request.RemoveMemberCommand({ ...by, userId: BEN }),
    ]) {
      accepted(await app.commands.execute(command));
    }
    expect(
      await app.commands.execute(new request.LeaveConversationCommand({ ...by, by: STRANGER })),
    ).toMatchObject(notFound);
    const direct = (await send({ to: BEN })).conversationId;
    accepted(
      await app.commands.execute(new request.SetBlockCommand({ by: BEN, conversationId: direct, on: true })),
    );
    const stored = (await storedIn(app.memory, id)).slice(1).map(({ type, metadata }) => [type, metadata]);
    const context = expect.objectContaining({ correlationId: 'c-1' }) as unknown;
    expect(stored).toEqual([
      ['ConversationChanged', context],
      ['MembershipChanged', context],
      ['MembershipChanged', context],
    ]);
  });
});
