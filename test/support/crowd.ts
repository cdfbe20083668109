import { createHmac, randomUUID } from 'node:crypto';
import { WebSocket, type RawData } from 'ws';
import type { Database } from '../../src/infrastructure/postgres/database';
import { uuidv7 } from '../../src/kernel/uuid';

/** Sockets opened side by side: more would only wait for the same two cores. */
const OPENING_MAX = 50;
const WAIT_MS = 90_000;

export interface CrowdMember {
  readonly id: string;
  readonly token: string;
}

/** People with accounts and access tokens, without a password to be hashed for each of them. */
export async function createCrowd(
  node: { readonly jwtSecret: string; readonly database: Database },
  count: number,
): Promise<readonly CrowdMember[]> {
  const ids = Array.from({ length: count }, () => uuidv7());
  await node.database.query(
    `INSERT INTO app.users (id, username, username_key, display_name, created_at)
     SELECT id, 'crowd-' || id, 'crowd-' || id, 'somebody', now() FROM unnest($1::uuid[]) AS id`,
    [ids],
  );
  return ids.map((id) => ({ id, token: tokenOf(id, node.jwtSecret) }));
}

function tokenOf(sub: string, secret: string): string {
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    sid: randomUUID(),
    iss: 'parley',
    aud: 'parley',
    sub,
    iat: now,
    nbf: now,
    exp: now + 3_600,
  };
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

export interface CrowdFrame {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** A socket that costs next to nothing: no ids, no waiting for answers; it keeps what it is sent. */
export class CrowdDevice {
  readonly frames: CrowdFrame[] = [];

  private constructor(
    readonly member: CrowdMember,
    private readonly socket: WebSocket,
  ) {
    socket.on('message', (raw: RawData) => {
      this.frames.push(JSON.parse((raw as Buffer).toString('utf8')) as CrowdFrame);
    });
    socket.on('error', () => undefined);
  }

  static async openAll(url: string, members: readonly CrowdMember[]): Promise<readonly CrowdDevice[]> {
    const devices: CrowdDevice[] = [];
    for (let begin = 0; begin < members.length; begin += OPENING_MAX) {
      const some = members.slice(begin, begin + OPENING_MAX);
      devices.push(...(await Promise.all(some.map((member) => CrowdDevice.open(url, member)))));
    }
    return devices;
  }

  private static async open(url: string, member: CrowdMember): Promise<CrowdDevice> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?deviceId=${randomUUID()}`, {
      headers: { authorization: `Bearer ${member.token}` },
      perMessageDeflate: false,
    });
    const device = new CrowdDevice(member, socket);
    await until(`ready of ${member.id}`, () => device.of('ready').length > 0);
    return device;
  }

  send(event: string, data: object): void {
    this.socket.send(JSON.stringify({ event, data }));
  }

  of(event: string): readonly CrowdFrame[] {
    return this.frames.filter((frame) => frame.event === event);
  }

  close(): void {
    this.socket.terminate();
  }
}

/** Looks again and again; patient, for the machine may be busy. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; !(await condition());) {
    if (Date.now() > deadline) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
