import { WebSocket } from 'ws';
import type { SocketConstructor } from '../../sdk';

/** Nobody listens there: what a device gets that has no network. */
const NOWHERE = 'ws://127.0.0.1:1/ws';

/** The wire between one device and the server, which can be cut and mended. */
export class Line {
  private up = true;
  private readonly sockets = new Set<WebSocket>();
  readonly WebSocket: SocketConstructor;

  constructor() {
    const isUp = (): boolean => this.up;
    const { sockets } = this;
    this.WebSocket = class extends WebSocket {
      constructor(url: string) {
        super(isUp() ? url : NOWHERE, { perMessageDeflate: false });
        sockets.add(this);
        this.once('close', () => sockets.delete(this));
      }
    };
  }

  get isUp(): boolean {
    return this.up;
  }

  /** What is on its way is lost, and nobody says goodbye. */
  cut(): void {
    this.up = false;
    for (const socket of this.sockets) socket.terminate();
  }

  mend(): void {
    this.up = true;
  }
}
