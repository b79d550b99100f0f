"""A damaged SQLite file: what the damage does not touch goes on, the rest is 503, and repair needs no restart."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.running_service import RunningService
from tests.waiting import await_true

PAGE_BYTES = 4096
DAMAGED, WHOLE = "damaged " * 500, "whole " * 500


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def service(start: Callable[..., RunningService], file: Path) -> RunningService:
    return start(DB_DSN=f"sqlite:///{file}")


@pytest.fixture
def items(service: RunningService) -> Iterator[tuple[httpx.Client, str, str]]:
    """A client, the path of an item on a page that will be damaged, and that of one far from it."""
    with closing(service.user()) as me:
        descriptions = [WHOLE, *["x" * PAGE_BYTES] * 20, DAMAGED, *["x" * PAGE_BYTES] * 20]
        paths = [
            me.post("/v1/items/", json={"name": "an item", "description": description}).headers["Location"]
            for description in descriptions
        ]
        yield me, paths[descriptions.index(DAMAGED)], paths[0]


@contextmanager
def overwritten(file: Path, page: int) -> Iterator[None]:
    """A page (counted from 0) holds junk within the block."""
    with file.open("r+b", buffering=0) as disk:
        disk.seek(page * PAGE_BYTES)
        good = disk.read(PAGE_BYTES)
        disk.seek(page * PAGE_BYTES)
        disk.write(b"\xff" * PAGE_BYTES)
        yield
        disk.seek(page * PAGE_BYTES)
        disk.write(good)


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]


def test_damaged_page_is_503_and_the_rest_goes_on(
    service: RunningService, items: tuple[httpx.Client, str, str], file: Path
) -> None:
    me, damaged, whole = items
    service.stop()
    page = file.read_bytes().index(DAMAGED[:1000].encode()) // PAGE_BYTES
    with overwritten(file, page):
        service.start()
        for _ in range(3):
            assert_unavailable(me.get(damaged))
            assert me.get(whole).status_code == 200
        assert me.get("/health/live").status_code == 200
        assert "malformed" in service.log
        assert DAMAGED[:100] not in service.log
        assert len(service.log.splitlines()) < 100, "it repeats itself"
        done = service.manage("doctor", check=False)
        assert done.returncode == 1
        assert "damaged" in done.stdout + done.stderr
    await_true(lambda: me.get(damaged).status_code == 200, "it does not find the repaired page")


def test_file_that_is_no_database_is_not_ready_until_it_is_one(
    service: RunningService, items: tuple[httpx.Client, str, str], file: Path
) -> None:
    me, _, whole = items
    service.stop()
    with overwritten(file, 0):
        service.start()
        assert me.get("/health/live").status_code == 200
        assert_unavailable(me.get("/health/ready"))
        assert_unavailable(me.get(whole))
        assert_unavailable(me.post("/v1/items/", json={"name": "an item"}))
        assert "file is not a database" in service.log
        assert len(service.log.splitlines()) < 100, "it repeats itself"
    await_true(lambda: me.get("/health/ready").status_code == 200, "it does not find the repaired file")
    assert me.get(whole).status_code == 200
    assert me.post("/v1/items/", json={"name": "an item"}).status_code == 201
    assert service.query("PRAGMA integrity_check") == [("ok",)]
