-- Charges a request to every bucket, or to none if one of them has too little left. core/ratelimit/buckets.py explains
-- the numbers. core/ratelimit/local.py has the same algorithm in Python, and a test compares the two.
--
-- KEYS  one for each bucket; its value is "<unit of time of the last charge> <amount left then>"
-- ARGV  for each bucket: name, cost of a request, refill in a unit of time, microseconds of a unit, capacity
-- Returns the value of the RateLimit header (draft-ietf-httpapi-ratelimit-headers-10). If the request is refused, the
-- number of seconds to wait and a space precede the header.

local function divide_up(number, by)  -- fmod is exact, Lua's % is not
  local rest = math.fmod(number, by)
  return (number - rest) / by + (rest > 0 and 1 or 0)
end

-- All hosts that share a limit use Redis' clock.
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
    -- A clock that was set back skips one refill, but locks nobody out.
    local elapsed = math.max(bucket.now - at, 0)
    bucket.left = math.min(bucket.capacity, left + elapsed * bucket.refill)
  end
  bucket.per_second = bucket.refill * 1000000 / bucket.unit
  if bucket.left < bucket.cost then
    wait = math.max(wait, divide_up(bucket.cost - bucket.left, bucket.per_second))
  end
  buckets[i] = bucket
end

local members = {}
for i, bucket in ipairs(buckets) do
  if wait == 0 then
    bucket.left = bucket.left - bucket.cost
    -- The key expires a minute after the bucket is full, so that fast buckets are not created again and again.
    local expiry = math.ceil((bucket.capacity - bucket.left) / bucket.per_second * 1000) + 60000
    redis.call('SET', KEYS[i], string.format('%.0f %.0f', bucket.now, bucket.left), 'PX', string.format('%d', expiry))
  end
  local rest = math.fmod(bucket.left, bucket.cost)
  local remaining = (bucket.left - rest) / bucket.cost
  local more_in = bucket.left == bucket.capacity and 0 or divide_up(bucket.cost - rest, bucket.per_second)
  members[i] = string.format('"%s";r=%d;t=%d', bucket.name, remaining, more_in)
end

local header = table.concat(members, ', ')
return wait == 0 and header or string.format('%d %s', wait, header)
