"""Prefetching: the rate limit's call to Redis also reads the cache entry that the view needs.

1. A view names the entry: `@prefetch(services.cache_key)`. The router stores the key function with the route.
2. For callers with credentials, core/middleware/rate_limit.py sends `GET key` along with its own command.
3. The view passes `request.prefetched` to its service: the entry's bytes, or None after a miss or without Redis.
"""

from collections.abc import Callable
from typing import Any

from core.http.principal import Principal

# From the principal and the path's parameters to a Redis key, or None to read nothing.
type KeyFunction = Callable[[Principal, dict[str, str]], bytes | None]


def prefetch[F: Callable[..., Any]](key: KeyFunction) -> Callable[[F], F]:
    def decorate(view: F) -> F:
        view.prefetch = key  # type: ignore[attr-defined]
        return view

    return decorate


def key_function_of(view: Callable[..., Any]) -> KeyFunction | None:
    return getattr(view, "prefetch", None)
