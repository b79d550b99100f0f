"""The Redis client of the hot path: one connection per server; all calls of a loop iteration share one write.

    replies = await redis.call([("GET", key)])      # None: go on without Redis

Reading order: `client` (the interface), `connection` (one server: circuit breaker, reconnects), `pipeline` (batches and
timeouts of one connection), `error_replies`. `discovery`, `cluster` and `slots` find the server for a command. `url`
parses REDIS_URL; `django_pools` serves Django's cache. docs/decisions/0005-own-redis-client.md
"""
