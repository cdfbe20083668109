import { SOCKET_ENTRY_TTL_MS } from '../../../application/ports/socket-directory';
import type { SessionKey } from '../../../application/ports/presence';
import { socketsKey } from '../keys';
import { luaNow, LuaScript } from '../lua-script';
import { COMMAND_TIMEOUT_MS } from '../connections';
import type { RedisLink } from '../redis-link';

/**
 * How much later another socket of the device must have been opened for a register to give way to it. An age is told
 * when a command is sent and counted from when it runs: a command that Redis was slow to take makes its socket look
 * younger than it is, by as much as a command may take.
 */
const CLEARLY_LATER_MS = COMMAND_TIMEOUT_MS;

/**
 * An entry: `<opened at>|<expires at>|<node>|<device>`. Sockets are told apart by their age, which no two nodes have
 * different clocks for; a register gives way to a socket of the same device that was clearly opened later, and a
 * refresh, which brings along what registering answered, to any later one.
 */
const TEXT = `${luaNow('ARGV[1]')}
local op, session, device, node = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl, max, since = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local slack = 0
if op == 'register' then since, slack = now - since, ${CLEARLY_LATER_MS} end
local entries = redis.call('HGETALL', KEYS[1])
local others, displaced = 0, {}
for n = 1, #entries, 2 do
  local id = entries[n]
  local at, expires, where, whose = string.match(entries[n + 1], '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not at or tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], id)
  elseif id ~= session then
    if whose == device then
      if tonumber(at) > since + slack then return { 'displaced', '0' } end
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

  /** @param openMs for how long the socket has been open. @throws RedisUnavailable */
  register(session: SessionKey, socketsMax: number, openMs: number): Promise<RegisterAnswer> {
    return this.run('register', session, socketsMax, Math.round(openMs));
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
