"""Rate limits: GCRA, counted in Redis, or in each process while Redis does not answer.

Read in this order: `rates` parses the settings, `policies` chooses the limits of a request, `buckets` defines the
numbers and the Redis command, `gcra.lua` counts in Redis, and `local` counts in the process.
"""
