"""The service responds after the commit is on disk, and does not acknowledge a commit that is not (SQLite).

`PRAGMA synchronous=FULL` makes a commit wait for the disk, so that a power failure loses no acknowledged change.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.faults.strace import traced
from tests.running_service import RunningService

SYNCS = "fsync,fdatasync"
SENDS = "write,writev,sendto,sendmsg"
KEY = {"Idempotency-Key": "once"}
ITEM = {"name": "an item"}


@pytest.fixture
def service(start: Callable[..., RunningService], tmp_path: Path) -> RunningService:
    return start(DB_DSN=f"sqlite:///{tmp_path}/app.db")


@pytest.fixture
def me(service: RunningService) -> Iterator[httpx.Client]:
    with closing(service.user(timeout=60)) as client:
        yield client


def pid(service: RunningService) -> int:
    assert service.process is not None
    return service.process.pid


def names(service: RunningService) -> list[str]:
    return [name for [name] in service.query("SELECT name FROM item")]


def test_response_is_sent_after_the_commit_is_on_disk(
    service: RunningService, me: httpx.Client, tmp_path: Path
) -> None:
    trace = tmp_path / "calls"
    with traced(pid(service), "-e", f"trace={SYNCS},{SENDS}", output=trace):
        assert me.post("/v1/items/", json=ITEM).status_code == 201
        path = me.post("/v1/items/", json=ITEM).headers["Location"]
        assert me.patch(path, json={"name": "new"}).status_code == 200
        assert me.delete(path).status_code == 204
    order = []
    for line in trace.read_text().splitlines():
        # strace splits a slow call into two lines. The second line has the result.
        if re.search(r"(fsync|fdatasync)\(\d+<.*-wal>\) += 0$|(fsync|fdatasync) resumed>\) += 0$", line):
            order.append("sync")
        elif status := re.search(r'"HTTP/1.1 (2\d\d)', line):
            order.append(status[1])
    assert [one for one in order if one != "sync"] == ["201", "201", "200", "204"]
    for place, one in enumerate(order):
        assert one == "sync" or order[place - 1] == "sync", order


def test_commit_that_cannot_be_synced_is_503(service: RunningService, me: httpx.Client, tmp_path: Path) -> None:
    stored = me.post("/v1/items/", json=ITEM).headers["Location"]
    with traced(pid(service), "-e", f"inject={SYNCS}:error=EIO", output=tmp_path / "calls"):
        for _ in range(3):
            refused = me.post("/v1/items/", json={"name": "refused"}, headers=KEY)
            assert refused.status_code == 503
            assert refused.headers["Retry-After"]
        assert me.get(stored).status_code == 200
        assert me.get("/v1/items/").status_code == 200
    assert me.post("/v1/items/", json={"name": "refused"}, headers=KEY).status_code == 201
    assert names(service) == ["an item", "refused"]
    service.kill()
    service.start()
    assert names(service) == ["an item", "refused"]
    assert service.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("is_synced", [False, True])
def test_kill_during_a_commit_leaves_all_of_it_or_nothing(
    service: RunningService, me: httpx.Client, tmp_path: Path, is_synced: bool
) -> None:
    fault = "signal=KILL" if is_synced else "error=EIO:signal=KILL"
    with traced(pid(service), "-e", f"inject={SYNCS}:{fault}", output=tmp_path / "calls"):
        with pytest.raises(httpx.TransportError):
            me.post("/v1/items/", json=ITEM, headers=KEY)
        assert service.process is not None
        service.process.wait(30)
    service.kill()
    service.start()
    first = me.post("/v1/items/", json=ITEM, headers=KEY)
    repeated = me.post("/v1/items/", json=ITEM, headers=KEY)
    assert (first.status_code, repeated.status_code) == (201, 201)
    assert repeated.content == first.content
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert names(service) == ["an item"]
