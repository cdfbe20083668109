import { connect, type Socket } from 'node:net';

/** A running XMPP server with accounts in it. */
export interface XmppPeer {
  readonly port: number;
  readonly host: string;
  readonly pid: number;
  /** Names of new accounts; each one's password is its name. */
  accounts(count: number): Promise<readonly string[]>;
}

const BODY = '<body>';
const STEP_TIMEOUT_MS = 30_000;

/** A client of an XMPP server over TCP (RFC 6120), as little of one as a chat message needs. */
export class XmppDevice {
  private text = '';
  private awaited: { readonly part: string; readonly resolve: () => void } | undefined;
  isOpen = false;

  private constructor(
    private readonly socket: Socket,
    private readonly host: string,
    /** Told the text of every message that arrives. */
    private readonly onBody: (body: string) => void,
  ) {
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      this.received(text as unknown as string);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isOpen = false;
    });
  }

  /** Signs in and becomes available. @throws Error when the server does not go along */
  static async open(
    { port, host }: Pick<XmppPeer, 'port' | 'host'>,
    name: string,
    onBody: (body: string) => void,
  ): Promise<XmppDevice> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const device = new XmppDevice(socket, host, onBody);
    const plain = Buffer.from(`\0${name}\0${name}`).toString('base64');
    await device.step(device.opening(), '</stream:features>');
    await device.step(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`,
      '<success',
    );
    await device.step(device.opening(), '</stream:features>');
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind>`;
    await device.step(`<iq type='set' id='bind'>${bind}</iq>`, '</iq>');
    await device.step('<presence/>', '<presence');
    device.isOpen = true;
    return device;
  }

  say(to: string, body: string): void {
    this.socket.write(`<message to='${to}@${this.host}' type='chat'><body>${body}</body></message>`);
  }

  destroy(): void {
    this.socket.destroy();
  }

  private opening(): string {
    return (
      `<?xml version='1.0'?><stream:stream to='${this.host}' version='1.0' xmlns='jabber:client' ` +
      `xmlns:stream='http://etherx.jabber.org/streams'>`
    );
  }

  /** Says something and waits until `part` of the answer has come. */
  private step(text: string, part: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no ${part} after ${text.slice(0, 60)}: ${this.text.slice(-300)}`));
      }, STEP_TIMEOUT_MS);
      this.text = '';
      this.awaited = {
        part,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      this.socket.write(text);
    });
  }

  private received(text: string): void {
    this.text += text;
    if (this.awaited !== undefined) {
      if (!this.text.includes(this.awaited.part)) return;
      const { resolve } = this.awaited;
      this.awaited = undefined;
      this.text = '';
      resolve();
      return;
    }
    let rest = 0;
    for (let at = this.text.indexOf(BODY); at >= 0; at = this.text.indexOf(BODY, rest)) {
      const end = this.text.indexOf('<', at + BODY.length);
      if (end < 0) break;
      this.onBody(this.text.slice(at + BODY.length, end));
      rest = end;
    }
    const open = this.text.lastIndexOf('<message', this.text.length);
    this.text = open >= rest ? this.text.slice(open) : '';
  }
}
