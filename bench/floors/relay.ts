import { Client } from 'pg';
import { WebSocketServer, type WebSocket } from 'ws';
import { startEmbeddedPostgres } from '../../embedded/postgres';

/**
 * The floor under a chat server in Node: `ws`, and as much of the protocol as a direct message needs. No sign-in, no
 * membership, no order, no retries, no receipts, no read models. `node relay.js none`, or `node relay.js <folder>` to
 * acknowledge after a commit: what has gathered while the last insert ran is inserted together.
 */
const TABLE = `CREATE TABLE messages (
  conversation_id text NOT NULL, seq bigint NOT NULL, sender text NOT NULL, key text NOT NULL, content text NOT NULL,
  PRIMARY KEY (conversation_id, seq))`;
const INSERT = `INSERT INTO messages SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])`;

interface Sent {
  readonly conversationId: string;
  readonly seq: number;
  readonly from: Peer;
  readonly id: string;
  readonly key: string;
  readonly content: unknown;
}

interface Peer {
  readonly socket: WebSocket;
  userId: string;
}

interface Frame {
  readonly event: string;
  readonly id: string;
  readonly data: Record<string, unknown>;
}

class Relay {
  private readonly peers = new Map<string, Peer>();
  private readonly seqs = new Map<string, number>();
  private waiting: Sent[] = [];
  private isWriting = false;

  constructor(private readonly database: Client | undefined) {}

  take(peer: Peer, text: string): void {
    const { event, id, data } = JSON.parse(text) as Frame;
    if (event === 'auth') {
      peer.userId = String(data['token']);
      this.peers.set(peer.userId, peer);
      peer.socket.send(JSON.stringify({ event: 'ready', id, data: {} }));
    } else if (event === 'message.send') this.send(peer, id, data);
    else peer.socket.send(JSON.stringify({ event: 'ok', id, data: {} }));
  }

  private send(from: Peer, id: string, data: Record<string, unknown>): void {
    const { to, conversationId: given, clientMessageId, content } = data;
    const conversationId = typeof given === 'string' ? given : [from.userId, to].sort().join('/');
    const seq = (this.seqs.get(conversationId) ?? -1) + 1;
    this.seqs.set(conversationId, seq);
    const sent = { conversationId, seq, from, id, key: String(clientMessageId), content };
    if (this.database === undefined) this.deliver(sent);
    else {
      this.waiting.push(sent);
      void this.write(this.database);
    }
  }

  private async write(database: Client): Promise<void> {
    if (this.isWriting) return;
    this.isWriting = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      await database.query({
        name: 'insert',
        text: INSERT,
        values: [
          batch.map(({ conversationId }) => conversationId),
          batch.map(({ seq }) => seq),
          batch.map(({ from }) => from.userId),
          batch.map(({ key }) => key),
          batch.map(({ content }) => JSON.stringify(content)),
        ],
      });
      for (const sent of batch) this.deliver(sent);
    }
    this.isWriting = false;
  }

  private deliver({ conversationId, seq, from, id, key, content }: Sent): void {
    const at = new Date().toISOString();
    const ack = {
      conversationId,
      clientMessageId: key,
      messageId: key,
      seq,
      ordinal: seq,
      at,
      duplicate: false,
    };
    from.socket.send(JSON.stringify({ event: 'message.ack', id, data: ack }));
    const data = {
      conversationId,
      seq,
      at,
      by: from.userId,
      messageId: key,
      clientMessageId: key,
      ordinal: seq,
      content,
    };
    const push = JSON.stringify({ event: 'message.sent', data });
    for (const userId of conversationId.split('/')) this.peers.get(userId)?.socket.send(push);
  }
}

async function openDatabase(folder: string): Promise<{ client: Client; stop: () => Promise<void> }> {
  const postgres = await startEmbeddedPostgres({ dataDir: folder, log: () => undefined });
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(TABLE);
  return {
    client,
    stop: async () => {
      await client.end();
      await postgres.stop();
    },
  };
}

async function main(): Promise<void> {
  const folder = process.argv[2] ?? 'none';
  const opened = folder === 'none' ? undefined : await openDatabase(folder);
  const relay = new Relay(opened?.client);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws', perMessageDeflate: false });
  server.on('connection', (socket) => {
    const peer: Peer = { socket, userId: '' };
    socket.on('message', (bytes) => {
      relay.take(peer, (bytes as Buffer).toString());
    });
  });
  server.on('listening', () => {
    process.send?.((server.address() as { port: number }).port);
  });
  process.on('SIGTERM', () => {
    void (opened?.stop() ?? Promise.resolve()).then(() => process.exit(0));
  });
}

void main();
