"""Metrics of several workers: whichever is asked tells of all, through deaths and replacements."""

import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from core.telemetry import multiprocess
from core.telemetry.multiprocess import VARIABLE
from tests.running_service import PROJECT

type Start = Callable[..., "Worker"]


def serve(pipe: Connection, home: Path, directory: Path | None) -> None:
    """What a worker process of this test does."""
    multiprocess.MEMORY = home
    os.environ.pop(VARIABLE, None)
    if directory is not None:
        os.environ[VARIABLE] = str(directory)
    multiprocess.prepare()
    from prometheus_client import Counter, Gauge, Histogram, generate_latest

    done = Counter("done", "…", ["kind"])
    busy = Gauge("busy", "…", multiprocess_mode="livesum")
    seconds = Histogram("seconds", "…", buckets=(1, 10))
    while command := pipe.recv():
        answer: Any = None
        if command == "work":
            done.labels("x").inc()
            busy.set(1)
            seconds.observe(5)
        elif command == "scrape":
            with multiprocess.all_workers() as registry:
                answer = generate_latest(registry).decode()
        elif command == "sign off":
            multiprocess.sign_off()
        elif command == "state":
            state = (multiprocess.is_active(), multiprocess.is_missing())
            answer = (*state, os.environ.get(VARIABLE))
        pipe.send(answer)


class Worker:
    """A process that keeps metrics, and does as it is told."""

    def __init__(self, home: Path, directory: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, home, directory), daemon=True)
        self.process.start()
        other.close()

    def tell(self, command: str) -> Any:
        self.pipe.send(command)
        return self.pipe.recv()

    def samples(self) -> dict[str, float]:
        """The values that it tells of, for all workers, but for what the operating system says of them."""
        # Not at the top: a worker imports this module too, and prometheus_client must come after `prepare`.
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(self.tell("scrape"))
        found = [one for family in families if not family.name.startswith("process_") for one in family.samples]
        return {one.name + one.labels.get("le", ""): one.value for one in found}

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        if self.process.is_alive():
            self.pipe.send("")
            self.process.join()
        self.pipe.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start_one(directory: Path | None = None) -> Worker:
            worker = Worker(tmp_path, directory)
            stack.callback(worker.end)
            return worker

        yield start_one


def directory_of(worker: Worker) -> Path:
    return Path(worker.tell("state")[2])


def test_files_that_are_just_being_made_hold_up_nobody(start: Start) -> None:
    first, second, third = start(), start(), start()
    directory = directory_of(first)
    for worker in (first, third):
        worker.tell("work")
    (directory / f"counter_{second.process.pid}.db").write_bytes(b"")
    (directory / f"counter_{third.process.pid}.db").write_bytes(b"")
    third.kill()
    assert first.samples()["done_total"] == 1
    second.end()
    assert first.samples()["done_total"] == 1
    assert [file.name for file in directory.glob("counter_*") if not file.stat().st_size] == []


def test_each_worker_tells_of_all(start: Start) -> None:
    first, second = start(), start()
    for worker in (first, second, second):
        worker.tell("work")
    for worker in (first, second):
        found = worker.samples()
        assert (found["done_total"], found["busy"], found["seconds_sum"]) == (3, 2, 15)
        assert (found["seconds_bucket1.0"], found["seconds_bucket10.0"], found["seconds_count"]) == (0, 3, 3)
        assert not any(name.endswith("_created") for name in found)


def test_directory_is_private_and_shared(start: Start) -> None:
    first, second = start(), start()
    directory = directory_of(first)
    assert directory == directory_of(second)
    for place in (directory, directory.parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_counts_outlive_a_killed_worker_and_its_gauges_do_not(start: Start) -> None:
    first, second = start(), start()
    for worker in (first, second, second):
        worker.tell("work")
    second.kill()
    for _ in range(2):
        found = first.samples()
        assert (found["done_total"], found["busy"]) == (3, 1)
        assert (found["seconds_sum"], found["seconds_bucket10.0"], found["seconds_count"]) == (15, 3, 3)
    # However many workers come and go, there are no more files to read.
    files = {file.name for file in directory_of(first).glob("*.db")}
    assert not any(str(second.process.pid) in name for name in files)
    third = start()
    third.tell("work")
    assert first.samples() == third.samples()
    assert (third.samples()["done_total"], third.samples()["busy"]) == (4, 2)


def test_counts_never_go_back_while_workers_come_and_go(start: Start) -> None:
    watcher = start()
    last, expected = 0.0, 0
    for _ in range(4):
        worker = start()
        for _ in range(3):
            worker.tell("work")
            expected += 1
            assert last <= (last := watcher.samples()["done_total"])
        worker.kill()
        assert watcher.samples()["done_total"] == expected


def test_last_worker_removes_the_directory(start: Start) -> None:
    first, second = start(), start()
    directory = directory_of(first)
    for worker in (first, second):
        worker.tell("work")
    first.tell("sign off")
    found = second.samples()
    assert (found["done_total"], found["busy"]) == (2, 1)
    second.tell("sign off")
    assert not directory.exists()


def test_last_worker_does_not_wait_for_one_that_was_killed(start: Start) -> None:
    first, second = start(), start()
    directory = directory_of(first)
    second.kill()
    first.tell("sign off")
    assert not directory.exists()


def test_replacement_after_the_last_begins_anew(start: Start) -> None:
    first = start()
    first.tell("work")
    first.tell("sign off")
    second = start()
    second.tell("work")
    assert second.samples()["done_total"] == 1


def test_directories_of_services_that_were_killed_are_removed(start: Start, tmp_path: Path) -> None:
    home = directory_of(start()).parent
    ended = multiprocessing.get_context("spawn").Process(target=print)
    ended.start()
    ended.join()
    for name in (f"{ended.pid}-0", f"{os.getpid()}-1", "nonsense"):
        (home / name).mkdir()
    start().tell("state")
    assert {path.name for path in home.iterdir() if path.is_dir()} == {directory_of(start()).name}


@pytest.mark.parametrize("make", [lambda home: home.mkdir(mode=0o777), lambda home: home.symlink_to("/")])
def test_place_that_others_could_write_to_is_not_used(
    start: Start, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    home = tmp_path / f"agent-router-metrics-{os.getuid()}"
    make(home)
    if not home.is_symlink():
        home.chmod(0o777)
    assert start().tell("state") == (False, True, None)


def test_directory_of_the_operator_is_used_and_stays(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "chosen" / "metrics"
    first, second = start(directory), start(directory)
    for worker in (first, second):
        worker.tell("work")
    second.kill()
    found = first.samples()
    assert (found["done_total"], found["busy"]) == (2, 1)
    first.tell("sign off")
    third = start(directory)
    third.tell("work")
    assert (third.samples()["done_total"], third.samples()["busy"]) == (3, 1)


def test_single_process_keeps_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    multiprocess.prepare()
    assert not multiprocess.is_active()
    assert not multiprocess.is_missing()
    multiprocess.sign_off()


@pytest.mark.parametrize("dsn", ["sqlite:///{}/app.db", "postgresql://app@localhost/app"])
def test_settings_import_nothing_that_keeps_metrics(tmp_path: Path, dsn: str) -> None:
    """prometheus_client looks for the directory when it is imported, django-prometheus for the settings."""
    script = "import sys, agent_router.settings; print([name for name in sys.modules if 'prometheus' in name])"
    environment = os.environ | {"DB_DSN": dsn.format(tmp_path), "REDIS_URL": "redis://localhost"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
