"""The service on Sentinel and on a cluster: limits are exact across workers, and clients notice no failover."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import httpx
import pytest

from tests.redis_cluster import RedisCluster
from tests.redis_sentinels import RedisSentinels, until
from tests.running_service import RunningService

pytestmark = pytest.mark.slow

ITEM = {"name": "one"}


def ready(client: httpx.Client) -> str:
    return str(client.get("/health/ready").json()["status"])


def use(client: httpx.Client) -> None:
    """Create, change and delete an item, and read it after each step."""
    made = client.post("/v1/items/", json=ITEM)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    for name in ("two", "three"):
        assert client.get(path).json()["name"] == ITEM["name"] or name == "three"
        assert client.patch(path, json={"name": name}).status_code == 200
        assert [client.get(path).json()["name"] for _ in range(4)] == [name] * 4
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def budget(service: RunningService) -> int:
    """Return how many requests of a new user all workers together allow; `use` takes 15 of them."""
    with closing(service.user()) as client:
        use(client)
        # A new connection each time, so that any worker may accept it.
        status, count = 200, 15
        while status == 200:
            status = client.get("/v1/items/", headers={"Connection": "close"}).status_code
            count += status == 200
        assert status == 429
        return count


@pytest.mark.parametrize("topology", [RedisSentinels, RedisCluster])
def test_service_with_two_workers(
    topology: Callable[[], AbstractContextManager[RedisSentinels | RedisCluster]],
    start: Callable[..., RunningService],
) -> None:
    with topology() as there:
        service = start(workers=2, REDIS_URL=there.url, RATE_LIMIT="100/hour")
        servers = there.servers if isinstance(there, RedisSentinels) else there.nodes
        # Not each time: if Redis is late, the worker counts the request itself.
        assert 100 in (budget(service) for _ in range(5)), "one budget"
        with closing(service.user()) as client:
            until(lambda: ready(client) == "ready", 15)
            servers[0].kill()
            until(lambda: ready(client) == "degraded", 3)
            waits = []
            for _ in range(4):
                began = time.monotonic()
                use(client)
                waits.append(time.monotonic() - began)
            assert min(waits) < 15 * 0.2, "no request waits for Redis"
            if isinstance(there, RedisCluster):
                servers[0].start()
            until(lambda: ready(client) == "ready", 15)
            use(client)
