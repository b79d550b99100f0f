"""Django's cache with any REDIS_URL: it works, follows failovers, and neither breaks nor hangs during an outage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.test import override_settings
from redis.crc import key_slot

from core.redis.url import DJANGO_KEY_PREFIX, django_cache
from tests.ports import free_port
from tests.redis_cluster import RedisCluster
from tests.redis_sentinels import RedisSentinels, until
from tests.redis_server import RedisServer
from tests.tls_files import TLSFiles

pytestmark = pytest.mark.slow

# A pooled connection, a new connection, and the queries that locate the server: 0.25 s each.
LONGEST_WAIT_SECONDS = 2.0
BACK_WITHIN_SECONDS = 2.0


@contextmanager
def opened(url: str) -> Iterator[BaseCache]:
    with override_settings(CACHES={"default": django_cache(url)}):
        cache = caches["default"]
        try:
            yield cache
        finally:
            pool: Any = cache
            pool.client.get_client().connection_pool.disconnect()


def use(cache: Any) -> None:
    cache.set_many({f"k{n}": {"n": n} for n in range(20)}, 60)
    assert cache.get_many([f"k{n}" for n in range(20)]) == {f"k{n}": {"n": n} for n in range(20)}
    assert cache.add("k0", "other") is False
    cache.set("n", 1)
    assert cache.incr("n") == 2
    assert 0 < cache.ttl("k1") <= 60
    with cache.lock("lock", timeout=5):
        assert cache.has_key("lock")
    assert cache.touch("k1", 30)
    assert len(list(cache.iter_keys("k*"))) == 20
    cache.delete_many([f"k{n}" for n in range(20)])
    assert cache.get("k1") is None


def test_what_redis_holds_is_not_run() -> None:
    with RedisServer() as server, opened(server.url) as cache:
        cache.set("k", {"n": 1})
        with pytest.raises((TypeError, ValueError)):
            cache.set("k", object())
        assert cache.get("k") == {"n": 1}


def lose(cache: BaseCache) -> None:
    """Every call is a cache miss, and no call takes long."""
    for _ in range(3):
        began = time.monotonic()
        assert cache.get("n", "default") == "default"
        cache.set("n", 5)
        assert time.monotonic() - began < 2 * LONGEST_WAIT_SECONDS


def until_back(cache: BaseCache) -> None:
    def is_back() -> bool:
        cache.set("back", 1)
        return bool(cache.get("back") == 1)

    until(is_back, BACK_WITHIN_SECONDS)


def test_one_server() -> None:
    with RedisServer(password="p@ss,w/rd") as server, opened(server.url) as cache:
        use(cache)
        server.pause()
        lose(cache)
        server.resume()
        until_back(cache)
        server.kill()
        lose(cache)


def test_tls(tmp_path: Path) -> None:
    files, port = TLSFiles.make(tmp_path), free_port()
    url = f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={files.authority}"
    with RedisServer(*files.options(port)), opened(url) as cache:
        use(cache)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_tls_of_sentinels_and_nodes(tmp_path: Path, kind: str) -> None:
    files, port, other = TLSFiles.make(tmp_path), free_port(), free_port()
    word = quote('p@ss, "w', safe="")
    end = f"ssl_ca_certs={files.authority}"
    options = ["--cluster-enabled", "yes", "--cluster-port", str(other), "--tls-cluster", "yes"]
    with RedisServer(*files.options(port), *(options if kind == "cluster" else ()), password='p@ss, "w') as server:
        if kind == "cluster":
            server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: b"cluster_state:ok" in server.command("CLUSTER", "INFO"))
            with opened(f"rediss+cluster://:{word}@127.0.0.1:{port}?{end}") as cache:
                use(cache)
            return
        path = tmp_path / "sentinel.conf"
        path.write_text(f'sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main "p@ss, \\"w"\n')
        with (
            RedisServer(str(path), "--sentinel", *files.options(other), "--tls-replication", "yes"),
            opened(f"rediss+sentinel://:{word}@127.0.0.1:{other}/main/2?{end}") as cache,
        ):
            use(cache)


def test_sentinel() -> None:
    with RedisSentinels("p@ss,w/rd") as sentinels, opened(sentinels.url) as cache:
        master, replica = sentinels.servers
        use(cache)
        master.pause()
        lose(cache)
        until(lambda: sentinels.name_as_master(replica))
        until_back(cache)
        use(cache)


def test_cluster() -> None:
    with RedisCluster("--cluster-require-full-coverage", "no") as cluster, opened(cluster.url) as cache:
        use(cache)
        slot = key_slot(DJANGO_KEY_PREFIX.encode())
        owner = cluster.nodes[slot * 3 // 16384]
        target = next(node for node in cluster.nodes if node is not owner)
        cache.set("n", 5)
        cluster.begin_move(slot, owner, target)
        cluster.move_keys(slot, owner, target)
        cluster.end_move(slot, target)
        until_back(cache)
        assert cache.get("n") == 5
        use(cache)
        target.kill()
        lose(cache)
        target.start()
        until(lambda: cluster.is_well(target))
        until_back(cache)
