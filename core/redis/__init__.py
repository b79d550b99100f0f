"""The hot path's Redis client: one connection for each process, all calls of a loop tick in one write.

    replies = await redis.call([("GET", key)])      # None: go on without Redis

Reading order: `client` (what callers see, breaker, reconnecting), `pipeline` (one connection's batches and
time-outs), `refusals` (errors among the replies), `metrics`; REDIS_URL is read in core/redis_url.py.
"""

from core.redis.client import RedisClient

__all__ = ["RedisClient", "redis"]

redis = RedisClient()
