import { ParleyClient } from '../client';
import type { ClientOptions } from '../client-options';
import { FakeServer } from './fake-server';

export const ROOM = 'room-1';

/** Lets everything that is due within `ms` happen; the specs run on pretended time. */
export const settle = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);

/** A fake server for each test, and devices that are closed behind it. */
export class Bench {
  server = new FakeServer();
  private readonly clients: ParleyClient[] = [];

  open(): void {
    jest.useFakeTimers();
    this.server = new FakeServer();
  }

  async close(): Promise<void> {
    for (const client of this.clients.splice(0)) await client.close();
    jest.useRealTimers();
  }

  device(options: Partial<ClientOptions> = {}): ParleyClient {
    const client = new ParleyClient({
      url: 'http://parley.test',
      deviceId: 'phone',
      WebSocket: this.server.WebSocket,
      random: () => 0.5,
      ...(options.tokenProvider === undefined ? { token: 'token-1' } : {}),
      ...options,
    });
    this.clients.push(client);
    return client;
  }
}

/** What the application hears, as `seq:body`. */
export function record(client: ParleyClient): string[] {
  const heard: string[] = [];
  client.on('message.sent', ({ seq, content }) => heard.push(`${seq}:${content.body ?? ''}`));
  return heard;
}
