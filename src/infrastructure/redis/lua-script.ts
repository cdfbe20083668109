import { createHash } from 'node:crypto';
import type { RedisLink } from './redis-link';

/**
 * A script that Redis runs as one step. Sent by its hash; a server that does not know it, as after a restart or a
 * SCRIPT FLUSH, is sent the whole text. All its keys must share a hash tag.
 */
export class LuaScript {
  private readonly sha: string;

  constructor(
    private readonly link: RedisLink,
    private readonly text: string,
  ) {
    this.sha = createHash('sha1').update(text).digest('hex');
  }

  /** @throws RedisUnavailable */
  run(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.link.run(async (commands) => {
      try {
        return await commands.evalsha(this.sha, keys.length, ...keys, ...args);
      } catch (error) {
        if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
        return commands.eval(this.text, keys.length, ...keys, ...args);
      }
    });
  }
}

/**
 * The beginning of every script that needs the time: the server's, so that nodes whose clocks differ agree. Its
 * argument moves it, which tests use. @param shift Lua expression of milliseconds
 */
export const luaNow = (shift: string): string => `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(${shift})
`;
