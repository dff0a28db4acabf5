#!lua name=pawl_@HASH@
-- SPDX-License-Identifier: Apache-2.0
-- All that changes pawl's state in Redis. The library's name holds the hash of this text: brokers of
-- different versions keep their own beside each other and never replace another's.
-- KEYS[1] is always <prefix>lead; every other key has the same prefix, thus the same hash tag:
--   lead      hash: g generation, i incarnation, t last turn, d its digest, h holder
--   lock      the leader's lease, expires
--   j:<id>    record: version as ten hex digits, then msgpack
--   d:<id>    hash: documents, list items and steps of a job
--   b:<hash>  blob; w:<hash> set of the jobs that need it; blobs: zset of blobs by the time they came
--   x:<index> zsets of jobs;  pipelines: hash
--   e         stream of events: an entry holds some that follow each other, a field `e` for each, and
--             has the id of the last of them
-- Lua has no roll-back: everything is checked before anything is written.

local function keys_of(lead)
  return string.sub(lead, 1, #lead - 4)
end

local function fail(text)
  return redis.error_reply('PAWL ' .. text)
end

local function led_by(lead, g, i)
  local have = redis.call('HMGET', lead, 'g', 'i', 't', 'd', 'h')
  if have[1] ~= g or have[2] ~= i then
    return nil, 'FENCED ' .. (have[5] or 'nobody')
  end
  return have
end

-- ARGV: incarnation, holder, now in ms, lease in ms, a holder known to be dead (or '')
local function lead(keys, args)
  local p = keys_of(keys[1])
  local lock = redis.call('GET', p .. 'lock')
  if lock and lock ~= args[2] and lock ~= args[5] then
    return fail('HELD ' .. redis.call('PTTL', p .. 'lock') .. ' ' .. lock)
  end
  local last = tonumber(redis.call('HGET', keys[1], 'g') or '0')
  local g = string.format('%.0f', math.max(last + 1, math.floor(tonumber(args[3]) / 1000)))
  redis.call('HSET', keys[1], 'g', g, 'i', args[1], 't', '0', 'd', '', 'h', args[2])
  redis.call('SET', p .. 'lock', args[2], 'PX', args[4])
  return g
end

-- ARGV: generation, incarnation, holder, lease in ms ('0': resign)
local function renew(keys, args)
  local p = keys_of(keys[1])
  local have, why = led_by(keys[1], args[1], args[2])
  if not have then
    return fail(why)
  end
  if args[4] == '0' then
    redis.call('DEL', p .. 'lock')
  else
    redis.call('SET', p .. 'lock', args[3], 'PX', args[4])
  end
  return redis.status_reply('OK')
end

local check, write = {}, {}

-- What follows the letter of an operation: s bytes, n a whole number, l a list of bytes, i a list of
-- bytes and whole numbers in turn.
local shapes = { j = 'sssils', d = 'sss', x = 'ssn', b = 'ssn', e = 'sln', p = 'ss', r = 'sls', s = 'n' }

-- The commands of an operation: a user who may not say one of them must not be noticed half-way.
local commands = {
  j = { { 'MSET', 'j:', '' }, { 'ZADD', 'x:', '0', '' }, { 'ZREM', 'x:', '' }, { 'SADD', 'w:', '' } },
  d = { { 'HSET', 'd:', '', '' } },
  x = { { 'HDEL', 'd:', '' } },
  b = { { 'SETNX', 'b:', '' }, { 'ZADD', 'blobs', '0', '' } },
  e = { { 'XADD', 'e', '*', 'e', '' } },
  p = { { 'HSET', 'pipelines', '', '' } },
  r = { { 'UNLINK', 'j:' }, { 'ZREM', 'x:', '' }, { 'SREM', 'w:', '' } },
  s = { { 'UNLINK', 'b:' }, { 'ZREM', 'blobs', '' } },
}

local function whole(v)
  return type(v) == 'number' and v == math.floor(v) and v > -1e15 and v < 1e15
end

local function fits_list(list, numbers)
  if type(list) ~= 'table' or (numbers and #list % 2 ~= 0) then
    return false
  end
  for k = 1, #list do
    if numbers and k % 2 == 0 then
      if not whole(list[k]) then
        return false
      end
    elseif type(list[k]) ~= 'string' then
      return false
    end
  end
  return true
end

local function fits(op, shape)
  for k = 1, #shape do
    local v, want = op[k + 1], string.byte(shape, k)
    if want == 115 then -- s
      if type(v) ~= 'string' then
        return false
      end
    elseif want == 110 then -- n
      if not whole(v) or v < 0 then
        return false
      end
    elseif not fits_list(v, want == 105) then -- l, i
      return false
    end
  end
  return true
end

local function permitted(p, kind, seen)
  if seen.may[kind] then
    return true
  end
  for _, c in ipairs(commands[kind]) do
    if not redis.acl_check_cmd(c[1], p .. c[2], unpack(c, 3)) then
      return false
    end
  end
  seen.may[kind] = true
  return true
end

-- Is the key of the type that its name says, or not there? Otherwise its write would fail.
local function typed(p, key, want, seen)
  if seen.type[key] then
    return nil
  end
  local is = redis.call('TYPE', p .. key).ok
  if is ~= want and is ~= 'none' then
    return 'TYPE ' .. key .. ' is a ' .. is
  end
  seen.type[key] = true
end

local function typed_indexes(p, list, step, seen)
  for k = 1, #list, step do
    local why = typed(p, 'x:' .. list[k], 'zset', seen)
    if why then
      return why
    end
  end
end

-- {'j', id, expected version, new version and record, indexes to add {name, score...}, to leave {name...}, blob}
function check.j(p, op, seen)
  local id, blob = op[2], op[7]
  local have = seen.version[id]
  if not have then
    have = redis.pcall('GETRANGE', p .. 'j:' .. id, 0, 9)
    if type(have) == 'table' then
      return 'TYPE j:' .. id .. ' is no string'
    end
  end
  if have ~= op[3] then
    return 'CONFLICT job ' .. id .. ' has version ' .. have .. ', not ' .. op[3]
  end
  seen.version[id] = string.sub(op[4], 1, 10)
  if blob ~= '' and not seen.blob[blob] and redis.call('EXISTS', p .. 'b:' .. blob) == 0 then
    return 'MISSING blob ' .. blob
  end
  return typed_indexes(p, op[5], 2, seen) or typed_indexes(p, op[6], 1, seen)
    or (blob ~= '' and typed(p, 'w:' .. blob, 'set', seen)) or nil
end

-- {'d', id, field, bytes}
function check.d(p, op, seen)
  return typed(p, 'd:' .. op[2], 'hash', seen)
end

-- {'x', id, prefix, count}: the fields prefix1 ... prefix<count>
function check.x(p, op, seen)
  return typed(p, 'd:' .. op[2], 'hash', seen)
end

-- What is written at the end of the batch, one command for many: records, members to add to and to
-- take from each index, fields of each job's documents. An operation on a job that is in here already
-- and that would not give the same in another order writes all of it first.
local function gather()
  return { records = {}, add = {}, del = {}, fields = {}, score = {}, has = {} }
end

-- One command for all of list, which has `step` items for a thing; few enough for unpack().
local function say(command, key, list, step)
  local most = step * 1500
  for from = 1, #list, most do
    local to = math.min(from + most - 1, #list)
    if key then
      redis.call(command, key, unpack(list, from, to))
    else
      redis.call(command, unpack(list, from, to))
    end
  end
end

local function say_all(p, g)
  say('MSET', nil, g.records, 2)
  for name, members in pairs(g.add) do
    say('ZADD', p .. 'x:' .. name, members, 2)
  end
  for name, members in pairs(g.del) do
    say('ZREM', p .. 'x:' .. name, members, 1)
  end
  for id, fields in pairs(g.fields) do
    say('HSET', p .. 'd:' .. id, fields, 2)
  end
  g.records, g.add, g.del, g.fields, g.has = {}, {}, {}, {}, {}
end

local function put(lists, name, a, b)
  local list = lists[name]
  if not list then
    lists[name] = { a, b }
    return
  end
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

function write.j(p, op, g)
  local id, add, del = op[2], op[5], op[6]
  if g.has[id] then
    say_all(p, g)
  end
  g.has[id] = true
  local n = #g.records
  g.records[n + 1], g.records[n + 2] = p .. 'j:' .. id, op[4]
  for k = 1, #add, 2 do
    local score = g.score[add[k + 1]]
    if not score then -- Redis would print each number with all the digits it could have
      score = string.format('%.0f', add[k + 1])
      g.score[add[k + 1]] = score
    end
    put(g.add, add[k], score, id)
  end
  for k = 1, #del do
    put(g.del, del[k], id)
  end
  if op[7] ~= '' then
    redis.call('SADD', p .. 'w:' .. op[7], id)
  end
end

function write.d(_, op, g)
  put(g.fields, op[2], op[3], op[4])
end

function write.x(p, op, g)
  local key, names = p .. 'd:' .. op[2], {}
  if g.fields[op[2]] then
    say('HSET', key, g.fields[op[2]], 2)
    g.fields[op[2]] = nil
  end
  for k = 1, op[4] do
    names[#names + 1] = op[3] .. k
    if #names == 1000 or k == op[4] then
      redis.call('HDEL', key, unpack(names))
      names = {}
    end
  end
end

-- {'b', hash, bytes, now in ms}
function check.b(p, op, seen)
  seen.blob[op[2]] = true
  return typed(p, 'blobs', 'zset', seen)
end

function write.b(p, op)
  redis.call('SETNX', p .. 'b:' .. op[2], op[3])
  redis.call('ZADD', p .. 'blobs', op[4], op[2])
end

-- Two decimal numbers without leading zeroes, of any length a double cannot hold.
local function after(a, b)
  return #a > #b or (#a == #b and a > b)
end

local function last_event(p)
  if redis.call('EXISTS', p .. 'e') == 0 then
    return '0', '0'
  end
  local info = redis.call('XINFO', 'STREAM', p .. 'e')
  for k = 1, #info, 2 do
    if info[k] == 'last-generated-id' then
      return string.match(info[k + 1], '^(%d+)-(%d+)$')
    end
  end
end

-- {'e', id of the last one, {bytes...}, most}: events whose numbers follow each other
function check.e(p, op, seen)
  local why = typed(p, 'e', 'stream', seen)
  if why then
    return why
  end
  local a, b = string.match(op[2], '^([1-9]%d*)-(%d+)$')
  if not a or #a > 19 or #b > 15 or (#b > 1 and string.byte(b) == 48) or #op[3] == 0 or #op[3] > 1000 then
    return 'MALFORMED event id'
  end
  if not seen.e1 then
    seen.e1, seen.e2 = last_event(p)
  end
  local first = tonumber(b) - #op[3] + 1
  if not (after(a, seen.e1) and first >= 0 or (a == seen.e1 and first > tonumber(seen.e2))) then
    return 'ORDER event ' .. op[2] .. ' after ' .. seen.e1 .. '-' .. seen.e2
  end
  seen.e1, seen.e2 = a, b
end

-- Kept are the newest `most`. Where this generation has not had so many, those of the ones before it
-- stay, as many entries.
function write.e(p, op)
  local a, b = string.match(op[2], '^(%d+)-(%d+)$')
  local list, dropped = {}, tonumber(b) - op[4]
  for k = 1, #op[3] do
    list[2 * k - 1], list[2 * k] = 'e', op[3][k]
  end
  if dropped > 0 then
    redis.call('XADD', p .. 'e', 'MINID', '~', a .. '-' .. string.format('%.0f', dropped), op[2], unpack(list))
  else
    redis.call('XADD', p .. 'e', 'MAXLEN', '~', string.format('%.0f', op[4]), op[2], unpack(list))
  end
end

-- {'p', id, bytes}
function check.p(p, _, seen)
  return typed(p, 'pipelines', 'hash', seen)
end

function write.p(p, op)
  redis.call('HSET', p .. 'pipelines', op[2], op[3])
end

-- {'r', id, indexes {name...}, blob}: remove a job and what only it needs
function check.r(p, op, seen)
  seen.version[op[2]] = ''
  local why = typed_indexes(p, op[3], 1, seen)
  if why or op[4] == '' then
    return why
  end
  return typed(p, 'w:' .. op[4], 'set', seen) or typed(p, 'blobs', 'zset', seen)
end

function write.r(p, op, g)
  if g.has[op[2]] or g.fields[op[2]] then
    say_all(p, g)
  end
  redis.call('UNLINK', p .. 'j:' .. op[2], p .. 'd:' .. op[2])
  for k = 1, #op[3] do
    redis.call('ZREM', p .. 'x:' .. op[3][k], op[2])
  end
  if op[4] ~= '' then
    redis.call('SREM', p .. 'w:' .. op[4], op[2])
    if redis.call('EXISTS', p .. 'w:' .. op[4]) == 0 then
      redis.call('UNLINK', p .. 'b:' .. op[4])
      redis.call('ZREM', p .. 'blobs', op[4])
    end
  end
end

-- {'s', before in ms}: blobs that came before and that no job needs
function check.s(p, _, seen)
  return typed(p, 'blobs', 'zset', seen)
end

function write.s(p, op)
  local old = redis.call('ZRANGEBYSCORE', p .. 'blobs', '-inf', op[2], 'LIMIT', 0, 100)
  for k = 1, #old do
    if redis.call('EXISTS', p .. 'w:' .. old[k]) == 0 then -- whatever it is, it fails no write
      redis.call('UNLINK', p .. 'b:' .. old[k])
    end
    redis.call('ZREM', p .. 'blobs', old[k])
  end
end

-- Why an operation cannot be written; nil: it can, and nothing in it will fail.
local function objection(p, op, seen)
  if type(op) ~= 'table' or not write[op[1]] then
    return 'UNKNOWN operation'
  end
  if not fits(op, shapes[op[1]]) then
    return 'MALFORMED operation ' .. op[1]
  end
  if not permitted(p, op[1], seen) then
    return 'NOPERM operation ' .. op[1]
  end
  return check[op[1]](p, op, seen)
end

-- ARGV: generation, incarnation, turn, digest of the batch, batch
local function commit(keys, args)
  local p = keys_of(keys[1])
  local have, why = led_by(keys[1], args[1], args[2])
  if not have then
    return fail(why)
  end
  local turn, last = tonumber(args[3]), tonumber(have[3])
  if turn == last and have[4] == args[4] then
    return redis.status_reply('AGAIN')
  end
  if turn ~= last + 1 then
    return fail('GAP turn ' .. args[3] .. ' after ' .. have[3])
  end
  local ops = cmsgpack.unpack(args[5])
  if type(ops) ~= 'table' then
    return fail('MALFORMED batch')
  end
  local seen, g = { version = {}, blob = {}, type = {}, may = {} }, gather()
  for k = 1, #ops do
    why = objection(p, ops[k], seen)
    if why then
      return fail(why)
    end
  end
  for k = 1, #ops do
    write[ops[k][1]](p, ops[k], g)
  end
  say_all(p, g)
  redis.call('HSET', keys[1], 't', args[3], 'd', args[4])
  return redis.status_reply('OK')
end

-- Where a key that no broker can use is kept, beside what was kept there before.
local function aside(p, key)
  local to = p .. 'lost:' .. key
  while redis.call('EXISTS', to) == 1 do
    to = to .. '~'
  end
  return to
end

local mend = {}

function mend.ZADD(p, key, member, score)
  redis.call('ZADD', p .. key, score, member)
end

function mend.ZREM(p, key, member)
  redis.call('ZREM', p .. key, member)
end

function mend.SADD(p, key, member)
  redis.call('SADD', p .. key, member)
end

function mend.SREM(p, key, member)
  redis.call('SREM', p .. key, member)
end

function mend.RENAME(p, key)
  if redis.call('EXISTS', p .. key) == 1 then
    redis.call('RENAME', p .. key, aside(p, key))
  end
end

function mend.HDEL(p, key, field)
  local bytes = redis.call('HGET', p .. key, field)
  if bytes then
    redis.call('SET', aside(p, key .. '/' .. field), bytes)
    redis.call('HDEL', p .. key, field)
  end
end

function mend.SETRANGE(p, key, version)
  redis.call('SETRANGE', p .. key, 0, version)
end

-- fsck's. ARGV: generation, incarnation, {{command, key, member, score}, ...}
local function repair(keys, args)
  local p = keys_of(keys[1])
  local have, why = led_by(keys[1], args[1], args[2])
  if not have then
    return fail(why)
  end
  local ops = cmsgpack.unpack(args[3])
  for k = 1, #ops do
    if not mend[ops[k][1]] then
      return fail('UNKNOWN operation')
    end
  end
  for k = 1, #ops do
    mend[ops[k][1]](p, ops[k][2], ops[k][3], ops[k][4])
  end
  return redis.status_reply('OK')
end

-- ARGV: index, cursor ('' or score:id), limit. Newest first: {next cursor, id, record, ...}
local function page(keys, args)
  local p = keys_of(keys[1])
  local x, limit, start = p .. 'x:' .. args[1], tonumber(args[3]), 0
  if args[2] ~= '' then
    local score, id = string.match(args[2], '^(%d+):(%w+)$')
    if not id then
      return fail('CURSOR')
    end
    local rank = redis.call('ZREVRANK', x, id)
    start = rank and rank + 1 or redis.call('ZCOUNT', x, score, '+inf')
  end
  local ids = redis.call('ZREVRANGE', x, start, start + limit - 1, 'WITHSCORES')
  local out = { #ids == 2 * limit and ids[#ids] .. ':' .. ids[#ids - 1] or '' }
  for k = 1, #ids, 2 do
    out[#out + 1] = ids[k]
    out[#out + 1] = redis.call('GET', p .. 'j:' .. ids[k])
  end
  return out
end

-- ARGV: id. {field, bytes, ...}
local function names(keys, args)
  local key, out = keys_of(keys[1]) .. 'd:' .. args[1], {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    out[#out + 1] = field
    out[#out + 1] = tostring(redis.call('HSTRLEN', key, field))
  end
  return out
end

redis.register_function { function_name = 'pawl_@HASH@_lead', callback = lead, flags = { 'allow-oom' } }
redis.register_function { function_name = 'pawl_@HASH@_renew', callback = renew, flags = { 'allow-oom' } }
redis.register_function { function_name = 'pawl_@HASH@_commit', callback = commit, flags = { 'allow-oom' } }
redis.register_function { function_name = 'pawl_@HASH@_repair', callback = repair, flags = { 'allow-oom' } }
redis.register_function { function_name = 'pawl_@HASH@_page', callback = page, flags = { 'no-writes' } }
redis.register_function { function_name = 'pawl_@HASH@_names', callback = names, flags = { 'no-writes' } }
