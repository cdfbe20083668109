import { WebSocket } from 'ws';
import { ParleyClient as Client, type ClientOptions } from '..';

export * from '..';
export { FileCursorStore, FileOutboxStore } from './file-stores';

/** A device in Node: the `ws` package is its socket. */
export class ParleyClient extends Client {
  constructor(options: ClientOptions) {
    super({ WebSocket, platform: 'node', ...options });
  }
}
