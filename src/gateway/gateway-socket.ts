import { WebSocket } from 'ws';
import { CLOSE_CODES } from '../protocol/close-codes';
import type { Session } from './session';

/** What `ws` closes with for invalid UTF-8, too many fragments, and a message that is too big. */
const NOT_A_FRAME_CODES: ReadonlySet<number> = new Set([1007, 1008, 1009]);

/**
 * A socket that closes as PROTOCOL.md section 3 says where `ws` decides by itself: not a frame is 4001, while a
 * violation of WebSocket itself stays 1002. It carries its session, so that listeners can be shared functions
 * and an idle socket owns none.
 */
export class GatewaySocket extends WebSocket {
  session: Session | undefined;

  override close(code?: number, reason?: string | Buffer): void {
    if (code !== undefined && NOT_A_FRAME_CODES.has(code)) {
      super.close(CLOSE_CODES.notAFrame.code, CLOSE_CODES.notAFrame.reason);
    } else super.close(code, reason);
  }
}
