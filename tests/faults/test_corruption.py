"""A corrupt SQLite file: requests that do not touch the damage succeed, others get 503, and repair needs no restart."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.running_service import RunningService
from tests.waiting import await_true

PAGE_BYTES = 4096
CORRUPT, INTACT = "damaged " * 500, "whole " * 500


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def service(start: Callable[..., RunningService], file: Path) -> RunningService:
    return start(DB_DSN=f"sqlite:///{file}")


@pytest.fixture
def items(service: RunningService) -> Iterator[tuple[httpx.Client, str, str]]:
    """A client, the path of an item on a page that the test corrupts, and the path of an item far from it."""
    with closing(service.user()) as me:
        descriptions = [INTACT, *["x" * PAGE_BYTES] * 20, CORRUPT, *["x" * PAGE_BYTES] * 20]
        paths = [
            me.post("/v1/items/", json={"name": "an item", "description": description}).headers["Location"]
            for description in descriptions
        ]
        yield me, paths[descriptions.index(CORRUPT)], paths[0]


@contextmanager
def overwritten(file: Path, page: int) -> Iterator[None]:
    """Fill a page, counted from 0, with junk until the block ends."""
    with file.open("r+b", buffering=0) as disk:
        disk.seek(page * PAGE_BYTES)
        good = disk.read(PAGE_BYTES)
        disk.seek(page * PAGE_BYTES)
        disk.write(b"\xff" * PAGE_BYTES)
        yield
        disk.seek(page * PAGE_BYTES)
        disk.write(good)


def assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["Retry-After"]


def test_corrupt_page_is_503_and_other_pages_work(
    service: RunningService, items: tuple[httpx.Client, str, str], file: Path
) -> None:
    me, corrupt_path, intact_path = items
    service.stop()
    page = file.read_bytes().index(CORRUPT[:1000].encode()) // PAGE_BYTES
    with overwritten(file, page):
        service.start()
        for _ in range(3):
            assert_unavailable(me.get(corrupt_path))
            assert me.get(intact_path).status_code == 200
        assert me.get("/health/live").status_code == 200
        assert "malformed" in service.log
        assert CORRUPT[:100] not in service.log
        assert len(service.log.splitlines()) < 100, "the log repeats itself"
        done = service.manage("doctor", check=False)
        assert done.returncode == 1
        assert "damaged" in done.stdout + done.stderr
    await_true(lambda: me.get(corrupt_path).status_code == 200, "the repaired page is not read")


def test_service_is_not_ready_until_its_file_is_a_database(
    service: RunningService, items: tuple[httpx.Client, str, str], file: Path
) -> None:
    me, _, intact_path = items
    service.stop()
    with overwritten(file, 0):
        service.start()
        assert me.get("/health/live").status_code == 200
        assert_unavailable(me.get("/health/ready"))
        assert_unavailable(me.get(intact_path))
        assert_unavailable(me.post("/v1/items/", json={"name": "an item"}))
        assert "file is not a database" in service.log
        assert len(service.log.splitlines()) < 100, "the log repeats itself"
    await_true(lambda: me.get("/health/ready").status_code == 200, "the repaired file is not read")
    assert me.get(intact_path).status_code == 200
    assert me.post("/v1/items/", json={"name": "an item"}).status_code == 201
    assert service.query("PRAGMA integrity_check") == [("ok",)]
