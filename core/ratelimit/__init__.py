"""Rate limits: GCRA, counted in Redis, or in the process while Redis does not answer.

Reading order: `rates` (what settings say), `policies` (which limits a request falls under), `buckets` (the
numbers, what is sent and what is told), `gcra.lua` (the count in Redis), `local` (the same count in the
process).
"""
