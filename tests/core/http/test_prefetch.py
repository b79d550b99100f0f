"""A view names the cache entry to prefetch, and the router stores it with the route."""

from typing import Any

from agent_router.asgi import router
from core.http.prefetch import key_function_of, prefetch
from core.http.principal import Principal


def key(principal: Principal, params: dict[str, str]) -> bytes | None:
    return b"key"


def test_decorated_view_has_its_key_function() -> None:
    async def view() -> Any: ...

    assert key_function_of(view) is None
    assert prefetch(key)(view) is view
    assert key_function_of(view) is key


def test_route_of_an_item_prefetches_only_its_reads() -> None:
    route = router.routes["/v1/items/{item_id}"]
    assert route.prefetch_keys.keys() == {"GET", "HEAD"}
