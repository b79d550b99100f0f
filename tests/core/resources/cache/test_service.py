"""The cache in the running service, with two workers: every acknowledged change is visible to every worker."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

import httpx
import pytest

from tests.redis_server import RedisServer
from tests.running_service import RunningService
from tests.waiting import await_true


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def service(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), workers=2, REDIS_URL=server.url) as service:
        yield service


@pytest.fixture
def me(service: RunningService) -> Iterator[httpx.Client]:
    with closing(service.user()) as client:
        yield client


@pytest.fixture
def item(me: httpx.Client) -> dict[str, object]:
    item: dict[str, object] = me.post("/v1/items/", json={"name": "old"}).json()
    return item


class Response(NamedTuple):
    """A response that arrived on its own connection."""

    status: int
    content: bytes
    tag: str | None

    @property
    def name(self) -> str:
        """Return the item's name, or the status if there is no item."""
        return str(json.loads(self.content)["name"]) if self.status == 200 else str(self.status)


def fetch(client: httpx.Client, path: str, method: str = "GET", body: bytes | None = None) -> Response:
    """Send a request on its own connection, so that any worker may respond. Creating an httpx client is slower."""
    connection = HTTPConnection("127.0.0.1", client.base_url.port or 80, timeout=30)
    with closing(connection):
        headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Response(response.status, response.read(), response.headers["ETag"])


def fetch_from_all_workers(client: httpx.Client, path: str, times: int = 24) -> list[Response]:
    """Return the responses on many connections, so that every worker sends some of them."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: fetch(client, path), range(times)))


def names(responses: list[Response]) -> set[str]:
    return {response.name for response in responses}


def lookup_counts(service: RunningService) -> dict[str, float]:
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    found = dict(line.split() for line in lines if line.startswith("django_cache_get_"))
    return {kind: float(found[f'django_cache_get_{kind}_total{{backend="item"}}']) for kind in ("hits", "misses")}


def test_second_read_is_served_from_redis(
    service: RunningService, server: RedisServer, me: httpx.Client, item: dict[str, object]
) -> None:
    path = f"/v1/items/{item['id']}"
    before = lookup_counts(service)
    first = me.get(path)
    assert lookup_counts(service)["misses"] > before["misses"]

    def mostly_hits() -> bool:
        """Some lookups may miss on a busy machine: a request does not wait for a slow Redis."""
        before = lookup_counts(service)
        assert names([fetch(me, path) for _ in range(12)]) == {"old"}
        return lookup_counts(service)["hits"] - before["hits"] >= 9

    await_true(mostly_hits)
    with server.client() as redis:
        key = f"item:{item['id']}"
        assert 0 < redis.ttl(key) <= 60
        entry = redis.get(key)
    assert isinstance(entry, bytes)
    assert entry.endswith(first.content)
    for response in fetch_from_all_workers(me, path):
        assert (response.content, response.tag) == (first.content, first.headers["etag"])
    assert me.get(path, headers={"If-None-Match": '"1"'}).status_code == 304
    with closing(service.user()) as stranger:
        assert stranger.get(path).status_code == 404
    with closing(service.staff()) as staff:
        assert staff.get(path).content == first.content


SHELL = "from items.models import Item; found = Item.objects.filter(pk='{id}'); "
BY_ORM = {
    "save": ("item = found.get(); item.name = 'new'; item.save()", "new", '"2"'),
    "update": ("found.update(name='new')", "new", '"2"'),
    "bulk_update": ("item = found.get(); item.name = 'new'; Item.objects.bulk_update([item], ['name'])", "new", '"2"'),
    "delete": ("found.get().delete()", "404", None),
    "delete all": ("found.delete()", "404", None),
}


@pytest.mark.parametrize("operation", BY_ORM)
def test_orm_change_in_a_shell_is_visible_to_every_worker(
    service: RunningService, me: httpx.Client, item: dict[str, object], operation: str
) -> None:
    change, name, tag = BY_ORM[operation]
    path = f"/v1/items/{item['id']}"
    fetch_from_all_workers(me, path)
    service.manage("shell", "--no-imports", "-c", SHELL.format(**item) + change)
    responses = fetch_from_all_workers(me, path)
    assert names(responses) == {name}
    assert {response.tag for response in responses} == {tag}


def test_items_of_a_deleted_account_are_404_for_staff(
    service: RunningService, me: httpx.Client, item: dict[str, object]
) -> None:
    path = f"/v1/items/{item['id']}"
    with closing(service.staff()) as staff:
        assert names(fetch_from_all_workers(staff, path)) == {"old"}
        assert me.delete("/v1/auth/me").status_code == 204
        assert names(fetch_from_all_workers(staff, path)) == {"404"}


def test_readers_never_see_an_older_version_during_changes(me: httpx.Client, item: dict[str, object]) -> None:
    path = f"/v1/items/{item['id']}"
    acknowledged, seen = 1, []
    done = threading.Event()

    def read() -> int:
        reads = 0
        while not done.is_set():
            floor = acknowledged
            version = json.loads(fetch(me, path).content)["version"]
            if version < floor:
                seen.append((version, floor))
            reads += 1
        return reads

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(6)]
        for number in range(150):
            acknowledged = me.patch(path, json={"name": f"{number}"}).json()["version"]
        done.set()
        assert sum(reader.result() for reader in readers) > 100
    assert seen == []
    assert acknowledged == 151


@pytest.mark.parametrize("pause_seconds", [0.08, 0.5])
def test_change_during_a_redis_hang_is_visible_to_every_worker(
    server: RedisServer, me: httpx.Client, item: dict[str, object], pause_seconds: float
) -> None:
    path = f"/v1/items/{item['id']}"
    for number in range(5):
        fetch_from_all_workers(me, path)
        server.pause()
        try:
            assert me.patch(path, json={"name": f"new {number}"}).status_code == 200
            time.sleep(pause_seconds)  # the length of the outage
        finally:
            server.resume()
        assert names(fetch_from_all_workers(me, path)) == {f"new {number}"}


def test_change_during_a_redis_outage_is_visible_after_the_restart(
    server: RedisServer, me: httpx.Client, item: dict[str, object]
) -> None:
    path = f"/v1/items/{item['id']}"
    fetch_from_all_workers(me, path)
    with server.client() as redis:
        redis.save()  # so that Redis restarts with the old entry
    server.kill()
    assert me.patch(path, json={"name": "new"}).status_code == 200
    server.start()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert names(fetch_from_all_workers(me, path, 8)) == {"new"}


@pytest.mark.slow
def test_killed_workers_leave_no_stale_entries(start: Callable[..., RunningService], server: RedisServer) -> None:
    service = start(workers=2, REDIS_URL=server.url, CACHE_TTL="3600")
    client = service.user()
    paths = [f"/v1/items/{client.post('/v1/items/', json={'name': '0'}).json()['id']}" for _ in range(6)]
    stop = threading.Event()

    def work(path: str, seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            try:
                fetch(client, path, "PATCH", b'{"name": "%f"}' % chance.random())
                fetch(client, path)
            except (OSError, HTTPException):
                time.sleep(0.01)

    for turn in range(3):
        stop.clear()
        with ThreadPoolExecutor(len(paths)) as pool:
            jobs = [pool.submit(work, path, turn * 10 + number) for number, path in enumerate(paths)]
            time.sleep(0.7)
            service.kill()
            stop.set()
            for job in jobs:
                job.result()
        service.start()
        stored = {str(row[0]).replace("-", ""): row[1] for row in service.query("SELECT id, name FROM item")}
        for path in paths:
            assert names(fetch_from_all_workers(client, path, 4)) == {stored[path.rpartition("/")[2].replace("-", "")]}
    client.close()
