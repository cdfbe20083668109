import { setTimeout as sleep } from 'node:timers/promises';

const TIMEOUT_MS = 10_000;
const AGAIN_AFTER_MS = 200;

export interface RestAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** One try. @throws whatever the network does */
export async function ask(
  url: string,
  method: string,
  path: string,
  options: { readonly token?: string; readonly body?: unknown } = {},
): Promise<RestAnswer> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as RestAnswer['body']) };
}

/**
 * Tries until there is an answer that is no 503 and no 500, as a device with patience does.
 * @throws Error naming the last failure when none comes in time
 */
export async function insist(
  url: string,
  method: string,
  path: string,
  options: { readonly token?: string; readonly body?: unknown; readonly patienceMs?: number } = {},
): Promise<RestAnswer> {
  const deadline = Date.now() + (options.patienceMs ?? 60_000);
  for (;;) {
    let failure: string;
    try {
      const answer = await ask(url, method, path, options);
      if (answer.status < 500) return answer;
      failure = `${answer.status} ${JSON.stringify(answer.body)}`;
    } catch (error) {
      failure = String(error);
    }
    if (Date.now() > deadline) throw new Error(`${method} ${path}: ${failure}`);
    await sleep(AGAIN_AFTER_MS);
  }
}
