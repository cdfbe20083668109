import { WebSocket } from 'ws';
import type { SocketConstructor } from '../../sdk/node';

/**
 * A line that breaks at the worst moment: the first `losses` frames for which `isLost` holds arrive at the device's
 * door and are gone, and the connection with them.
 */
export class LossyLine {
  readonly WebSocket: SocketConstructor;
  /** How many frames were lost so far. */
  lost = 0;

  constructor(isLost: (event: string) => boolean, losses: number) {
    const loses = (text: string): boolean => {
      if (this.lost >= losses || !isLost((JSON.parse(text) as { event: string }).event)) return false;
      this.lost += 1;
      return true;
    };
    this.WebSocket = class extends WebSocket {
      override emit(name: string | symbol, ...args: unknown[]): boolean {
        if (name !== 'message' || !loses(String(args[0]))) return super.emit(name, ...args);
        this.terminate();
        return true;
      }
    };
  }
}
