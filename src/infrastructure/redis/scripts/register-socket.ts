import { SOCKET_ENTRY_TTL_MS } from '../../../application/ports/socket-directory';
import type { SessionKey } from '../../../application/ports/presence';
import { socketsKey } from '../keys';
import { luaNow, LuaScript } from '../lua-script';
import type { RedisLink } from '../redis-link';

/**
 * An entry: `<registered at>|<expires at>|<node>|<device>`. A register is always the newest, whatever the nodes'
 * clocks say, because Redis puts registers in order; a refresh brings along when it was registered, and gives way
 * to a later one of the same device.
 */
const TEXT = `${luaNow('ARGV[1]')}
local op, session, device, node = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl, max, since = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if op == 'register' then since = now end
local entries = redis.call('HGETALL', KEYS[1])
local others, displaced = 0, {}
for n = 1, #entries, 2 do
  local id = entries[n]
  local at, expires, where, whose = string.match(entries[n + 1], '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not at or tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], id)
  elseif id ~= session then
    if whose == device then
      if op == 'refresh' and tonumber(at) > since then return { 'displaced', '0' } end
      table.insert(displaced, id)
      table.insert(displaced, where)
    else
      others = others + 1
    end
  end
end
if op == 'register' and others >= max then return { 'tooMany', '0' } end
for n = 1, #displaced, 2 do redis.call('HDEL', KEYS[1], displaced[n]) end
redis.call('HSET', KEYS[1], session, string.format('%.0f|%.0f|%s|%s', since, now + ttl, node, device))
redis.call('PEXPIRE', KEYS[1], ttl)
local answer = { 'registered', string.format('%.0f', since) }
for n = 1, #displaced do table.insert(answer, displaced[n]) end
return answer
`;

export type RegisterAnswer =
  | { readonly kind: 'tooMany' | 'displaced' }
  | {
      readonly kind: 'registered';
      /** By the clock of Redis; a refresh brings it along. */
      readonly since: number;
      /** Sockets of the same device that have to go, and where they are. */
      readonly displaced: readonly { readonly sessionId: string; readonly node: string }[];
    };

/** Enters a socket into the list of its user's, and finds out whom it displaces. */
export class RegisterSocketScript {
  private readonly script: LuaScript;

  constructor(
    link: RedisLink,
    private readonly node: string,
    private readonly shiftMs: () => number = () => 0,
  ) {
    this.script = new LuaScript(link, TEXT);
  }

  /** @throws RedisUnavailable */
  register(session: SessionKey, socketsMax: number): Promise<RegisterAnswer> {
    return this.run('register', session, socketsMax, 0);
  }

  /** @param since what registering answered. @throws RedisUnavailable */
  refresh(session: SessionKey, since: number): Promise<RegisterAnswer> {
    return this.run('refresh', session, 0, since);
  }

  private async run(
    op: string,
    { userId, deviceId, sessionId }: SessionKey,
    max: number,
    since: number,
  ): Promise<RegisterAnswer> {
    const args = [this.shiftMs(), op, sessionId, deviceId, this.node, SOCKET_ENTRY_TTL_MS, max, since];
    const answer = (await this.script.run([socketsKey(userId)], args)) as string[];
    const [kind = '', at = '0', ...pairs] = answer;
    if (kind === 'tooMany' || kind === 'displaced') return { kind };
    const displaced = pairs.flatMap((id, n) =>
      n % 2 === 0 ? [{ sessionId: id, node: pairs[n + 1] ?? '' }] : [],
    );
    return { kind: 'registered', since: Number(at), displaced };
  }
}
