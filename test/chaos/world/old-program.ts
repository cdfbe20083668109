import { createHash, randomUUID } from 'node:crypto';
import {
  BACKWARDS,
  EventStoreDBClient,
  jsonEvent,
  NO_STREAM,
  WrongExpectedVersionError,
} from '@eventstore/db-client';
import { chainHash, CHAIN_START, eventIdOf } from '../../../src/application/audit-chain';
import { canonicalJson } from '../../../src/kernel/json';
import { uuidv7 } from '../../../src/kernel/uuid';
import { taggedBody } from '../journal';

type Fields = Readonly<Record<string, unknown>>;
interface Entry {
  readonly type: string;
  readonly data: Fields;
}

/** Where a conversation ends. */
interface Tail {
  readonly hash: string;
  readonly seq: number;
}
const NOTHING: Tail = { hash: CHAIN_START, seq: -1 };

/**
 * The program as it was at first, as far as the log knows it: every event in the version it began with, whatever the
 * present program would write. Some of its metadata says which version that is, some is from before anybody said so.
 */
export class OldProgram {
  private readonly client: EventStoreDBClient;

  constructor(connectionString: string) {
    this.client = EventStoreDBClient.connectionString(connectionString);
  }

  /** A conversation of these members in which all kinds of things have happened. @returns its id */
  async haveTalked(members: readonly string[], messages: number): Promise<string> {
    const id = uuidv7();
    const [owner = ''] = members;
    const past: Entry[] = [
      { type: 'ConversationStarted', data: { by: owner, kind: 'group', title: 'old', memberIds: members } },
    ];
    for (let n = 1; n <= messages; n++) {
      const by = members[n % members.length] ?? owner;
      const target = past.push({ type: 'MessageSent', data: message(id, by, n) }) - 1;
      if (n % 5 === 0) {
        const content = { type: 'text', body: taggedBody(id, by, 100_000 + n) };
        past.push({ type: 'MessageEdited', data: { by, target, content, version: 2 } });
      }
      if (n % 7 === 0) past.push({ type: 'MessageDeleted', data: { by, target } });
      if (n % 4 === 0)
        past.push({ type: 'ReactionChanged', data: { by: owner, target, emoji: '👍', change: 'added' } });
      // One whose devices are long gone.
      const userId = members.at(-1) ?? owner;
      if (n % 6 === 0) past.push(receipts('MessageDelivered', [{ userId, deviceId: 'gone', upTo: target }]));
    }
    await this.append(id, past, NOTHING);
    return id;
  }

  /** While the present program writes, too: somebody has read everything there is. */
  async haveRead(conversationId: string, userId: string): Promise<void> {
    for (;;) {
      const tail = await this.tail(conversationId);
      try {
        await this.append(conversationId, [receipts('MessageRead', [{ userId, upTo: tail.seq }])], tail);
        return;
      } catch (error) {
        if (!(error instanceof WrongExpectedVersionError)) throw error;
      }
    }
  }

  /** Not waited for: the client waits for ends of calls that are over already. */
  close(): void {
    void this.client.dispose();
  }

  private async tail(conversationId: string): Promise<Tail> {
    const options = { direction: BACKWARDS, fromRevision: 'end', maxCount: 1 } as const;
    for await (const { event } of this.client.readStream(streamOf(conversationId), options)) {
      const { hash } = event?.metadata as { hash: string };
      return { hash, seq: Number(event?.revision) };
    }
    throw new Error(`there is no conversation ${conversationId}`);
  }

  private async append(conversationId: string, entries: readonly Entry[], after: Tail): Promise<void> {
    let { hash, seq } = after;
    const events = entries.map(({ type, data }) => {
      const at = new Date().toISOString();
      hash = chainHash(hash, { conversationId, seq: ++seq, at, type, data: canonicalJson(data) });
      const version = seq % 2 === 0 ? {} : { schemaVersion: 1 };
      const ids = { correlationId: randomUUID(), causationId: randomUUID() };
      return jsonEvent({ id: eventIdOf(hash), type, data, metadata: { ...version, ...ids, at, hash } });
    });
    await this.client.appendToStream(streamOf(conversationId), events, {
      expectedRevision: after.seq === -1 ? NO_STREAM : BigInt(after.seq),
    });
  }
}

const streamOf = (conversationId: string): string => `conversation-${conversationId}`;

function message(id: string, by: string, ordinal: number): Fields {
  const content = { type: 'text', body: taggedBody(id, by, 200_000 + ordinal) };
  const contentHash = createHash('sha256').update(canonicalJson(content)).digest('hex');
  const ids = { messageId: randomUUID(), clientMessageId: uuidv7() };
  return { by, ...ids, ordinal, content, contentHash };
}

/** As they were before they could be packed: every cursor in full, and for all. */
const receipts = (type: 'MessageDelivered' | 'MessageRead', cursors: readonly Fields[]): Entry => ({
  type,
  data: { by: cursors[0]?.['userId'], cursors, audience: 'everyone' },
});
