"""The whole service on Sentinel and on a cluster: limits are exact over workers, and no fault is a client's."""

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
    """Every step of an item's life, read after each."""
    made = client.post("/v1/items/", json=ITEM)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    for name in ("two", "three"):
        assert client.get(path).json()["name"] == ITEM["name"] or name == "three"
        assert client.patch(path, json={"name": name}).status_code == 200
        assert [client.get(path).json()["name"] for _ in range(4)] == [name] * 4
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("topology", [RedisSentinels, RedisCluster])
def test_service_with_two_workers(
    topology: Callable[[], AbstractContextManager[RedisSentinels | RedisCluster]],
    start: Callable[..., RunningService],
) -> None:
    with topology() as there:
        service = start(workers=2, REDIS_URL=there.url, RATE_LIMIT="100/hour")
        servers = there.servers if isinstance(there, RedisSentinels) else there.nodes
        for _ in range(2):
            with closing(service.user()) as client:
                use(client)
                answers: list[int] = []
                while not answers or answers[-1] == 200:
                    # A connection of its own: any of the workers may get it.
                    fresh = client.get("/v1/items/", headers={"Connection": "close"})
                    answers.append(fresh.status_code)
                assert answers[-1] == 429
                assert len(answers) == 100 - 15 + 1, "one budget"
        with closing(service.user()) as client:
            assert ready(client) == "ready"
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
