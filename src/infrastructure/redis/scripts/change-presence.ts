import {
  PRESENCE_GRACE_MS,
  PRESENCE_TTL_MS,
  type Activity,
  type OwnStatus,
} from '../../../application/ports/presence';
import type { UserId } from '../../../kernel/ids';
import { LAST_SEEN_KEPT_MS, presenceChannel, presenceDueKeyOf, presenceKey } from '../keys';
import { luaNow, LuaScript } from '../lua-script';
import type { RedisLink } from '../redis-link';

/**
 * A session: `<status>|<set at>|<expires at>|<left>|<idle>|<custom status>`, in the field `s:<session>`. What was
 * last told of the user is in `told`, as `<status>|<custom status>`, and `seen` is when they were last seen. What a
 * device said of itself is in `l:<device>`, as `<status>|<until>|<custom status>`, for as long as its session counts:
 * the next session of the same device begins with it, or who is invisible would show with every reconnect. The
 * change is published by the script itself, so that changes are heard in the order in which they were made.
 */
const TEXT = `${luaNow('ARGV[1]')}
local op, user, session, word, channel = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local ttl, grace, kept = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local status, custom, setAt, idle = ARGV[10], ARGV[11], tonumber(ARGV[12]), ARGV[13]
local device = 'l:' .. ARGV[14]
local rank = { online = 3, busy = 2, away = 1, invisible = 0 }

local sessions, told, seen, said = {}, 'offline|', nil, nil
local fields = redis.call('HGETALL', KEYS[1])
for n = 1, #fields, 2 do
  local name, value = fields[n], fields[n + 1]
  if name == 'told' then told = value
  elseif name == 'seen' then seen = value
  elseif string.sub(name, 1, 2) == 'l:' then
    local s, untilTime, c = string.match(value, '^([^|]*)|(%d+)|(.*)$')
    if not s or not rank[s] or tonumber(untilTime) <= now then redis.call('HDEL', KEYS[1], name)
    elseif name == device then said = { s = s, c = c } end
  else
    local s, at, expires, left, i, c = string.match(value, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
    if s and rank[s] then
      sessions[name] = { s = s, at = tonumber(at), expires = tonumber(expires), left = left, i = i, c = c }
    else
      redis.call('HDEL', KEYS[1], name)
    end
  end
end

local field = 's:' .. session
local function save(entry)
  redis.call('HSET', KEYS[1], field, string.format('%s|%.0f|%.0f|%s|%s|%s',
    entry.s, entry.at, entry.expires, entry.left, entry.i, entry.c))
end
local function remember(entry, untilTime)
  if entry.s == 'online' and entry.c == '' then redis.call('HDEL', KEYS[1], device)
  else redis.call('HSET', KEYS[1], device, string.format('%s|%.0f|%s', entry.s, untilTime, entry.c)) end
end
local function drop(name)
  sessions[name] = nil
  redis.call('HDEL', KEYS[1], name)
end

local answer = {}
local isSign = op ~= 'settle'
if op == 'beat' or op == 'set' then
  for name, entry in pairs(sessions) do if entry.left == '1' then drop(name) end end
  local entry = sessions[field]
  if not entry then
    -- A node that tells a session again after a flush knows better than what is left of an earlier one.
    if setAt == 0 and op == 'beat' and said then status, custom = said.s, said.c end
    if setAt == 0 then setAt = now end
    entry = { s = status, at = setAt, c = custom }
  elseif op == 'set' then
    entry.s, entry.at, entry.c = status, now, custom
  end
  entry.expires, entry.left, entry.i = now + ttl, '0', idle
  sessions[field] = entry
  save(entry)
  remember(entry, entry.expires)
  answer = { entry.s, entry.c }
elseif op == 'leave' then
  local entry = sessions[field]
  if not entry then isSign = false
  else
    local others = false
    for name, other in pairs(sessions) do
      if name ~= field and other.left == '0' and other.expires > now then others = true end
    end
    remember(entry, now + grace)
    if others then drop(field)
    elseif entry.left == '0' then
      entry.left, entry.expires = '1', math.min(entry.expires, now + grace)
      save(entry)
    end
  end
end

local best, bestShown, due = nil, nil, nil
for name, entry in pairs(sessions) do
  if entry.expires <= now then drop(name)
  else
    local shown = entry.s
    if shown == 'online' and entry.i == '1' then shown = 'away' end
    if not best or rank[shown] > rank[bestShown] or (rank[shown] == rank[bestShown] and entry.at > best.at) then
      best, bestShown = entry, shown
    end
    if not due or entry.expires < due then due = entry.expires end
  end
end
local statusNow, customNow = 'offline', ''
if best and bestShown ~= 'invisible' then statusNow, customNow = bestShown, best.c end
local toldNow = statusNow .. '|' .. customNow
local wasVisible = string.sub(told, 1, 8) ~= 'offline|' or statusNow ~= 'offline'
if isSign and wasVisible then
  seen = string.format('%.0f', now)
  redis.call('HSET', KEYS[1], 'seen', seen)
end
if toldNow ~= told then redis.call('HSET', KEYS[1], 'told', toldNow) end
if due then redis.call('ZADD', KEYS[2], string.format('%.0f', due), user)
else redis.call('ZREM', KEYS[2], user) end
redis.call('PEXPIRE', KEYS[1], kept)
redis.call('PEXPIRE', KEYS[2], kept)
if toldNow ~= told then redis.call(word, channel, (seen or '') .. '|' .. toldNow) end
return answer
`;

export type PresenceChange =
  /**
   * `set at` 0: now, and a session that is not known begins as the last one of its device was. Else status and custom
   * status count when the session is not known (any more).
   */
  | {
      readonly op: 'beat' | 'set';
      readonly sessionId: string;
      readonly deviceId: string;
      readonly status: OwnStatus;
      readonly customStatus: string | undefined;
      readonly setAt: number;
      readonly activity: Activity;
    }
  | { readonly op: 'leave'; readonly sessionId: string; readonly deviceId: string }
  /** Time has passed. */
  | { readonly op: 'settle' };

/** What a session now says of itself. */
export interface Said {
  readonly status: OwnStatus;
  readonly customStatus: string | undefined;
}

/** Changes one user's presence, and tells whoever follows them if it looks different then. */
export class ChangePresenceScript {
  private readonly script: LuaScript;

  constructor(
    private readonly link: RedisLink,
    private readonly shiftMs: () => number = () => 0,
  ) {
    this.script = new LuaScript(link, TEXT);
  }

  /** @returns what the session says, after a beat or a status. @throws RedisUnavailable */
  async run(userId: UserId, change: PresenceChange): Promise<Said | undefined> {
    const told = change.op === 'beat' || change.op === 'set' ? change : undefined;
    const answer = await this.script.run(
      [presenceKey(userId), presenceDueKeyOf(userId)],
      [
        this.shiftMs(),
        change.op,
        userId,
        change.op === 'settle' ? '' : change.sessionId,
        this.link.words.publish,
        presenceChannel(userId),
        PRESENCE_TTL_MS,
        PRESENCE_GRACE_MS,
        LAST_SEEN_KEPT_MS,
        told?.status ?? '',
        told?.customStatus ?? '',
        told?.setAt ?? 0,
        told?.activity === 'idle' ? '1' : '0',
        change.op === 'settle' ? '' : change.deviceId,
      ],
    );
    const [status, customStatus] = answer as [OwnStatus?, string?];
    if (status === undefined) return undefined;
    return { status, customStatus: customStatus === '' ? undefined : customStatus };
  }
}
