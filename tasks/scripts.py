"""The transitions of a job record as Lua: each is atomic, and the clock is the server's, the same for every host.

Keys, always: the record, the set of open jobs, then blobs. A record that isn't there is never created by a transition.
"""

from __future__ import annotations

_PRELUDE = """
local record, open, id = KEYS[1], KEYS[2], ARGV[1]
local ranks = {queued = 0, extracting = 1, matching = 2, verifying = 3, done = 4, failed = 4, cancelled = 4}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local state = redis.call('HGET', record, 'state')
"""

# ARGV: id, photo, blob ttl s, record ttl s, bulk. KEYS[3]: the photo's blob.
CREATE = (
    _PRELUDE
    + """
redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[3])
redis.call('HSET', record, 'state', 'queued', 'bulk', ARGV[5], 'created_ms', now, 'finals', 0)
redis.call('EXPIRE', record, ARGV[4])
redis.call('ZADD', open, now, id)
return 1
"""
)

# ARGV: id, stage, the stage's state. KEYS[3..]: the stage's input.
# Returns {whether to run, attempts, the state found, input...}.
BEGIN = (
    _PRELUDE
    + """
if not state then
    redis.call('ZREM', open, id)
    return {0, 0, 'missing'}
end
if ranks[state] > ranks[ARGV[3]] then return {0, 0, state} end
local attempts = redis.call('HINCRBY', record, ARGV[2] .. '.attempts', 1)
redis.call('HSET', record, 'state', ARGV[3], ARGV[2] .. '.started_ms', now)
redis.call('HDEL', record, ARGV[2] .. '.finished_ms', ARGV[2] .. '.work_ms')
redis.call('ZADD', open, now, id)
local answer = {1, attempts, state}
for i = 3, #KEYS do answer[i + 1] = redis.call('GET', KEYS[i]) end
return answer
"""
)

# ARGV: id, stage, the stage's state, output, blob ttl s, ms of work. KEYS[3]: the output's blob.
# Returns whether it was stored.
COMPLETE = (
    _PRELUDE
    + """
if state ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
redis.call('HSET', record, ARGV[2] .. '.finished_ms', now, ARGV[2] .. '.work_ms', ARGV[6])
redis.call('ZADD', open, now, id)
return 1
"""
)

# ARGV: id, final state, stage or '', error JSON or '', result JSON or '', record ttl s, channel,
# ms of work. KEYS[3..]: all blobs. Returns {whether this call made the job final, the state found}.
FINISH = (
    _PRELUDE
    + """
if not state then
    redis.call('ZREM', open, id)
    return {0, 'missing'}
end
if ranks[state] == 4 then return {0, state} end
redis.call('HSET', record, 'state', ARGV[2], 'finished_ms', now)
redis.call('HINCRBY', record, 'finals', 1)
if ARGV[3] ~= '' then redis.call('HSET', record, ARGV[3] .. '.finished_ms', now, ARGV[3] .. '.work_ms', ARGV[8]) end
if ARGV[4] ~= '' then redis.call('HSET', record, 'error', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', record, 'result', ARGV[5]) end
redis.call('EXPIRE', record, ARGV[6])
redis.call('ZREM', open, id)
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('PUBLISH', ARGV[7], ARGV[2])
return {1, state}
"""
)
