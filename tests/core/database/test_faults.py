"""A full disk, a read-only file: changes are 503, reads work, and the service recovers without help."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.databases import IS_POSTGRES
from tests.running_service import RunningService

SECONDS = 30
pytestmark = [pytest.mark.slow, pytest.mark.skipif(IS_POSTGRES, reason="SQLite's file")]


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting needs root and a kernel that lets it: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of four megabytes."""
    if os.geteuid():
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk with one file and return the file."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    return ballast


def create(me: httpx.Client, description: str = "") -> httpx.Response:
    return me.post("/v1/items/", json={"name": "an item", "description": description})


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["type"] == "/problems/service-unavailable"


def assert_comes_back(me: httpx.Client) -> None:
    deadline = time.monotonic() + SECONDS
    while create(me).status_code != 201:
        assert time.monotonic() < deadline, "the service does not recover"
        time.sleep(0.05)


def test_full_disk_is_503_and_recovers(start: Callable[..., RunningService], small_disk: Path) -> None:
    service = start(DB_DSN=f"sqlite:///{small_disk}/app.db")
    with closing(service.user()) as me:
        kept = [create(me).json()["id"] for _ in range(5)]
        ballast = fill(small_disk)
        refused = 0
        for _ in range(200):
            answer = create(me, "x" * 5000)
            if answer.status_code == 201:  # the file still has free pages
                kept.append(answer.json()["id"])
            else:
                assert_unavailable(answer)
                refused += 1
            if refused == 5:
                break
        assert refused == 5
        for item_id in kept:
            assert me.get(f"/v1/items/{item_id}").status_code == 200
        assert me.get("/v1/items/?limit=100").status_code == 200
        assert me.get("/health/live").status_code == 200
        ballast.unlink()
        assert_comes_back(me)
        found = {item["id"] for item in me.get("/v1/items/?limit=100").json()["items"]}
        assert set(kept) <= found
    assert service.query("PRAGMA integrity_check") == [("ok",)]
    assert "disk is full" in service.log


def make_read_only(file: Path, folder: Path) -> Callable[[], None]:
    """Make the file read-only and return a function that undoes that. Root ignores file modes, so remount for root."""
    if os.geteuid():
        file.chmod(0o444)
        return lambda: file.chmod(0o644)
    mount("--bind", str(folder), str(folder))
    mount("-o", "remount,bind,ro", str(folder))

    def undo() -> None:
        subprocess.run(["mount", "-o", "remount,bind,rw", str(folder)], check=True)

    return undo


def test_file_that_cannot_be_written_is_503_and_recovers(start: Callable[..., RunningService], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    service = start(DB_DSN=f"sqlite:///{folder}/app.db")
    with closing(service.user()) as me:
        item_id = create(me).json()["id"]
        service.stop()
        undo = make_read_only(folder / "app.db", folder)
        try:
            service.start()
            for _ in range(3):
                assert_unavailable(create(me))
            assert me.get("/health/live").status_code == 200
            undo()
            assert_comes_back(me)
            assert me.get(f"/v1/items/{item_id}").status_code == 200
            assert me.get("/health/ready").status_code == 200
        finally:
            service.stop()
            if not os.geteuid():
                subprocess.run(["umount", "--lazy", str(folder)], check=False)
