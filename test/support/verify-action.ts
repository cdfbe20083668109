import { ParleyClient, type LocalConversation } from '../../sdk/node';
import type { ConversationDto, MessageDto } from '../../src/protocol/schemas';
import { call } from './rest';

/** Receipts of the action are still under way for a moment: pictures are compared until they are equal. */
const PATIENCE_MS = 20_000;
const AGAIN_AFTER_MS = 50;
/** More events than any test makes in one conversation: a fresh device is never sent a part only. */
const WHOLE_LOG = 1_000;
const PAGE_ITEMS = 100;

/** Somebody's device: the SDK as an application holds it, and what REST needs to ask the same. */
export interface WatchedDevice {
  readonly name: string;
  readonly token: string;
  readonly client: ParleyClient;
}

interface MessagePicture {
  readonly seq: number;
  readonly ordinal: number;
  readonly senderId: string;
  readonly clientMessageId: string;
  /** null: deleted. */
  readonly content: object | null;
  readonly version: number;
  readonly replyTo: number | undefined;
  readonly reactions: Readonly<Record<string, readonly string[]>>;
}

/** What a person sees of a conversation, in one shape whoever tells it. */
interface ConversationPicture {
  readonly kind: string | undefined;
  readonly title: string | undefined;
  readonly members: Readonly<Record<string, string>>;
  readonly memberCount: number;
  readonly headSeq: number;
  readonly lastOrdinal: number;
  readonly readUpTo: number;
  readonly unread: number;
  readonly messages: readonly MessagePicture[];
}
type World = Readonly<Record<string, ConversationPicture>>;

/** Cursors of others: events alone tell them, so only devices have them to compare. */
type Cursors = Readonly<Record<string, Readonly<Record<string, number>>>>;

/**
 * Does something, then holds every device to the same measure: what it had, plus the events it was sent, is what
 * a device gets that knows nothing and fetches everything, and is what REST answers. Of all conversations, so
 * that an action which changes another one is found, too.
 *
 * `hidden`: seqs that a device's owner deleted for oneself. REST leaves them out; no event tells devices.
 * @returns what the action returns. Rejects with the difference when the pictures do not become equal.
 */
export async function verifyAction<T>(
  url: string,
  devices: readonly WatchedDevice[],
  action: () => Promise<T>,
  options: { readonly hidden?: ReadonlySet<number>; readonly patienceMs?: number } = {},
): Promise<T> {
  const result = await action();
  const { hidden = new Set<number>(), patienceMs = PATIENCE_MS } = options;
  await Promise.all(devices.map((device) => settle(url, device, hidden, patienceMs)));
  return result;
}

async function settle(
  url: string,
  device: WatchedDevice,
  hidden: ReadonlySet<number>,
  patienceMs: number,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const difference = await differenceOf(url, device, hidden);
    if (difference === undefined) return;
    if (Date.now() > deadline) throw new Error(`${device.name}: ${difference}`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
  }
}

/** @returns undefined when device, fresh device and REST agree */
async function differenceOf(
  url: string,
  { token, client }: WatchedDevice,
  hidden: ReadonlySet<number>,
): Promise<string | undefined> {
  const fresh = new ParleyClient({ url, token, autoDelivered: false, syncWindow: WHOLE_LOG });
  try {
    await fresh.connect();
    const fetched = worldOf(fresh);
    const answered = await worldOfRest(url, token, fetched);
    return (
      unequal('what it had and was sent is not what a fresh device fetches', worldOf(client), fetched) ??
      unequal('its receipts are not those a fresh device fetches', cursorsOf(client), cursorsOf(fresh)) ??
      unequal('REST does not answer what a fresh device fetches', answered, without(fetched, hidden))
    );
  } finally {
    await fresh.close();
  }
}

/** @returns the difference as Jest shows it */
function unequal(sentence: string, received: object, expected: object): string | undefined {
  try {
    expect(received).toEqual(expected);
    return undefined;
  } catch (error) {
    return `${sentence}\n${(error as Error).message}`;
  }
}

function worldOf(client: ParleyClient): World {
  return Object.fromEntries(
    client.conversations.list().map((conversation) => [conversation.id, pictureOf(conversation)]),
  );
}

function pictureOf(conversation: LocalConversation): ConversationPicture {
  const { kind, title, members, memberCount, headSeq, lastOrdinal, readUpTo, unread } = conversation;
  const messages = conversation.messages.map((message) => ({
    seq: message.seq ?? -1,
    ordinal: message.ordinal ?? -1,
    senderId: message.senderId ?? '',
    clientMessageId: message.clientMessageId,
    content: message.content,
    version: message.version,
    replyTo: message.replyTo,
    // Of a deleted message nothing is shown, so reactions that a device still holds say nothing.
    reactions: message.content === null ? {} : sorted(message.reactions),
  }));
  const roles = Object.fromEntries(members);
  return { kind, title, members: roles, memberCount, headSeq, lastOrdinal, readUpTo, unread, messages };
}

function sorted(reactions: ReadonlyMap<string, ReadonlySet<string>>): Record<string, string[]> {
  return Object.fromEntries([...reactions].map(([emoji, users]) => [emoji, [...users].sort()]));
}

function cursorsOf(client: ParleyClient): Cursors {
  return Object.fromEntries(
    client.conversations.list().flatMap(({ id, deliveredBy, readBy }) => [
      [`${id} delivered`, Object.fromEntries(deliveredBy)],
      [`${id} read`, Object.fromEntries(readBy)],
    ]),
  );
}

/** REST waits for what the fresh device has seen: a read model that is a moment behind is no difference. */
async function worldOfRest(url: string, token: string, fetched: World): Promise<World> {
  const list = await get<{ items: ConversationDto[]; hasMore: boolean }>(url, token, `?limit=${PAGE_ITEMS}`);
  if (list.hasMore) throw new Error('more conversations than one page: not made for that');
  const pictures = list.items.map(async ({ id }): Promise<[string, ConversationPicture]> => {
    const minSeq = fetched[id]?.headSeq ?? 0;
    const conversation = await get<ConversationDto>(url, token, `/${id}?minSeq=${minSeq}`);
    const path = `/${id}/messages?limit=${PAGE_ITEMS}&minSeq=${minSeq}`;
    const page = await get<{ items: MessageDto[]; hasMore: boolean }>(url, token, path);
    if (page.hasMore) throw new Error('more messages than one page: not made for that');
    return [id, pictureOfRest(conversation, page.items)];
  });
  return Object.fromEntries(await Promise.all(pictures));
}

async function get<T>(url: string, token: string, path: string): Promise<T> {
  const { status, body } = await call(url, 'GET', `/api/v1/conversations${path}`, { token });
  if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

function pictureOfRest(conversation: ConversationDto, messages: readonly MessageDto[]): ConversationPicture {
  const { kind, title, members, memberCount, headSeq, lastOrdinal, readUpTo, unreadCount } = conversation;
  return {
    kind,
    title,
    members: Object.fromEntries(members.map(({ userId, role }) => [userId, role])),
    memberCount,
    headSeq,
    lastOrdinal,
    readUpTo,
    unread: unreadCount,
    messages: messages.map(
      ({ seq, ordinal, senderId, clientMessageId, content, version, replyTo, reactions }) => ({
        seq,
        ordinal,
        senderId,
        clientMessageId,
        content,
        version,
        replyTo,
        reactions: Object.fromEntries(reactions.map(({ emoji, userIds }) => [emoji, [...userIds].sort()])),
      }),
    ),
  };
}

function without(world: World, hidden: ReadonlySet<number>): World {
  return Object.fromEntries(
    Object.entries(world).map(([id, picture]) => {
      const messages = picture.messages.filter(({ seq }) => !hidden.has(seq));
      return [id, { ...picture, messages }];
    }),
  );
}
