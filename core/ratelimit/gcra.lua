-- Charges one request to every bucket, or to none if one of them has too little left. core/ratelimit/buckets.py has
-- the idea and the numbers, core/ratelimit/local.py the same algorithm in Python; the tests hold them together.
--
-- KEYS  one bucket each: "<unit of time of the last charge> <what was left then>"
-- ARGV  for each bucket: name, cost of a request, refill in a unit of time, microseconds of a unit, capacity
-- Returns the value of the RateLimit header (draft-ietf-httpapi-ratelimit-headers-10); if the request is refused,
-- the seconds until it would not be and a space come before it.

local function divided_up(number, by)  -- fmod is exact, where Lua's own % is not
  local rest = math.fmod(number, by)
  return (number - rest) / by + (rest > 0 and 1 or 0)
end

-- Redis' clock: all hosts that share a limit agree on it.
local time = redis.call('TIME')
local microseconds = time[1] * 1000000 + time[2]
local saved = redis.call('MGET', unpack(KEYS))
local buckets, wait = {}, 0

for i = 1, #KEYS do
  local arg = 5 * (i - 1)
  local bucket = {
    name = ARGV[arg + 1],
    cost = tonumber(ARGV[arg + 2]),
    refill = tonumber(ARGV[arg + 3]),
    unit = tonumber(ARGV[arg + 4]),
    capacity = tonumber(ARGV[arg + 5]),
  }
  bucket.now = math.floor(microseconds / bucket.unit)
  bucket.left = bucket.capacity
  if saved[i] then
    local at, left = string.match(saved[i], '^(%d+) (%d+)$')
    -- A clock that was set back stops the refill for a moment; it locks nobody out.
    local elapsed = math.max(bucket.now - at, 0)
    bucket.left = math.min(bucket.capacity, left + elapsed * bucket.refill)
  end
  bucket.per_second = bucket.refill * 1000000 / bucket.unit
  if bucket.left < bucket.cost then
    wait = math.max(wait, divided_up(bucket.cost - bucket.left, bucket.per_second))
  end
  buckets[i] = bucket
end

local told = {}
for i, bucket in ipairs(buckets) do
  if wait == 0 then
    bucket.left = bucket.left - bucket.cost
    -- The key goes when the bucket is full again; a minute later, so that quick ones are not made anew all the time.
    local expiry = math.ceil((bucket.capacity - bucket.left) / bucket.per_second * 1000) + 60000
    redis.call('SET', KEYS[i], string.format('%.0f %.0f', bucket.now, bucket.left), 'PX', string.format('%d', expiry))
  end
  local rest = math.fmod(bucket.left, bucket.cost)
  local remaining = (bucket.left - rest) / bucket.cost
  local more_in = bucket.left == bucket.capacity and 0 or divided_up(bucket.cost - rest, bucket.per_second)
  told[i] = string.format('"%s";r=%d;t=%d', bucket.name, remaining, more_in)
end

local header = table.concat(told, ', ')
return wait == 0 and header or string.format('%d %s', wait, header)
