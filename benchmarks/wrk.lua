-- Load for wrk: sends the requests in the file BENCH_REQUESTS in turn (see scenarios.py) and counts every status.

local requests, at = {}, 0
local number = tonumber(os.getenv("BENCH_NUMBER"))
local MARK = string.rep("@", 16)

function init()
  local file = io.open(os.getenv("BENCH_REQUESTS"), "rb")
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function request()
  at = at % #requests + 1
  local found = requests[at]
  if not found:find(MARK, 1, true) then return found end
  number = number + 1
  return (found:gsub(MARK, string.format("%016.0f", number)))
end

statuses = {}
function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

local threads = {}
function setup(thread)
  threads[#threads + 1] = thread
end

function done(summary, latency)
  local counts = {}
  for status, count in pairs(threads[1]:get("statuses")) do
    counts[#counts + 1] = string.format('"%d": %d', status, count)
  end
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "errors": %d, "statuses": {%s}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, table.concat(counts, ", ")
  ))
end
