import { ParleyApi, ParleyClient, type ClientOptions } from '../../sdk/node';
import { Line } from '../../tools/demo/line';
import type { WatchedDevice } from './verify-action';

const WAIT_MS = 30_000;
const LOOK_AGAIN_MS = 5;

/** The SDK as an application has it, on real sockets over a line that can be cut. */
export interface SdkDevice extends WatchedDevice {
  readonly line: Line;
  readonly api: ParleyApi;
  readonly userId: string;
  /** What it told its `error` handler. */
  readonly errors: unknown[];
}

/** Of everybody who signs up in tests. */
export const PASSWORD = 'correct horse battery';
let counter = 0;

/** Signs somebody up, under a fresh name. */
export async function signUp(url: string, name: string): Promise<ParleyApi> {
  const api = new ParleyApi({ url });
  const username = `${name}-${process.pid}-${Date.now().toString(36)}-${++counter}`;
  await api.register({ username, password: PASSWORD });
  return api;
}

/** A device of somebody who is signed in, not connected yet. */
export function deviceOf(
  url: string,
  api: ParleyApi,
  name: string,
  options: Partial<ClientOptions> = {},
): SdkDevice {
  const line = new Line();
  const client = new ParleyClient({
    url,
    tokenProvider: api.token,
    deviceName: name,
    WebSocket: line.WebSocket,
    // The first pause of a reconnect: short, for nobody else reconnects at the same time.
    random: () => 0.1,
    ...options,
  });
  const errors: unknown[] = [];
  client.on('error', (error) => errors.push(error));
  return {
    name,
    line,
    api,
    client,
    errors,
    get token() {
      return api.session?.accessToken ?? '';
    },
    get userId() {
      return api.session?.user.id ?? '';
    },
  };
}

/** A device that is connected and in sync. */
export async function connectedDevice(
  url: string,
  api: ParleyApi,
  name: string,
  options: Partial<ClientOptions> = {},
): Promise<SdkDevice> {
  const device = deviceOf(url, api, name, options);
  await device.client.connect();
  return device;
}

/** Waits until `look` finds something. @throws Error naming `what` after WAIT_MS, or `waitMs` */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  waitMs = WAIT_MS,
): Promise<T> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`no ${what} within ${waitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
