-- wrk script: posts one file again and again; prints the result as one line of JSON.
-- wrk ... -s load.lua URL -- BODY_FILE [NAME:VALUE ...]

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = "application/json"
  for i = 2, #args do
    local name, value = args[i]:match("^([^:]+):(.*)$")
    wrk.headers[name] = value
  end
end

function done(summary, latency, requests)
  local slow, median = 0, latency:percentile(50)
  -- Microseconds. A delayed ACK shows as 40 ms; anything 20 ms over the median belongs to a second mode.
  for i = 1, #latency do
    local value, count = latency(i)
    if value > median + 20000 then slow = slow + count end
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "failed": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "slow": %d}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    median, latency:percentile(99), latency.max, slow))
end
