"""Prefetching: the rate limit's call to Redis also reads the cache entry that the view needs.

1. A view names the entry: `@prefetch(services.cache_key)`. The key function gets the principal and the parameters of
   the path. It returns a Redis key, or None to read nothing.
2. The router stores the key function with the route (core/http/routing.py).
3. The rate limit sends `GET key` along with its own command (core/middleware/rate_limit.py). Nothing is prefetched
   for a caller without credentials.
4. The view passes `request.prefetched` to its service. `request.prefetched` holds the bytes of the entry. It is None
   after a cache miss, without Redis, or if nothing was prefetched.
"""

from collections.abc import Callable
from typing import Any

from core.http.principal import Principal

type KeyFunction = Callable[[Principal, dict[str, str]], bytes | None]


def prefetch[F: Callable[..., Any]](key: KeyFunction) -> Callable[[F], F]:
    """Prefetch the Redis key that the key function returns, for the decorated view."""

    def decorate(view: F) -> F:
        view.prefetch = key  # type: ignore[attr-defined]
        return view

    return decorate


def key_function_of(view: Callable[..., Any]) -> KeyFunction | None:
    """Return the key function that `@prefetch` attached to the view, or None."""
    found: KeyFunction | None = getattr(view, "prefetch", None)
    return found
