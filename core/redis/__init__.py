"""The hot path's Redis client: one connection to each server, all calls of a loop tick in one write.

    replies = await redis.call([("GET", key)])      # None: go on without Redis

Reading order: `client` (what callers see), `link` (one server: breaker, reconnecting), `pipeline` (one connection's
batches and time-outs), `refusals` (errors among the replies), `metrics`. `sentinel` finds a link's server; `cluster`
and `slots` bring commands to theirs; both ask by `questions`. `django_pools` is for Django's cache. REDIS_URL is read
in core/redis/url.py.
"""
