"""Metrics of several workers: any worker reports all of them, also after workers were killed or replaced."""

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
from core.telemetry.multiprocess import VARIABLE, shared_directory
from tests.running_service import PROJECT

type Start = Callable[..., "Worker"]


def serve(pipe: Connection, directory: Path | None) -> None:
    """Run a worker process of these tests."""
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
        elif command == "count workers":
            answer = multiprocess.count_workers()
        elif command == "state":
            answer = (multiprocess.is_active(), multiprocess.is_missing())
        pipe.send(answer)


class Worker:
    """A process that keeps metrics and follows commands."""

    def __init__(self, directory: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, directory), daemon=True)
        self.process.start()
        other.close()

    def tell(self, command: str) -> Any:
        self.pipe.send(command)
        return self.pipe.recv()

    def samples(self) -> dict[str, float]:
        """The values that this worker reports for all workers, without those of the operating system."""
        # A worker imports this module, too, and prometheus_client must be imported after `prepare`.
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
def directory(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start_one(place: Path | None = directory) -> Worker:
            worker = Worker(place)
            stack.callback(worker.end)
            return worker

        yield start_one


def test_empty_files_of_starting_workers_do_not_break_a_scrape(start: Start, directory: Path) -> None:
    first, second, third = start(), start(), start()
    for worker in (first, third):
        worker.tell("work")
    second.tell("state")
    (directory / f"counter_{second.process.pid}.db").write_bytes(b"")
    (directory / f"counter_{third.process.pid}.db").write_bytes(b"")
    third.kill()
    assert first.samples()["done_total"] == 1
    second.end()
    assert first.samples()["done_total"] == 1
    assert [file.name for file in directory.glob("counter_*") if not file.stat().st_size] == []


def test_each_worker_reports_all(start: Start) -> None:
    first, second = start(), start()
    for worker in (first, second, second):
        worker.tell("work")
    for worker in (first, second):
        found = worker.samples()
        assert (found["done_total"], found["busy"], found["seconds_sum"]) == (3, 2, 15)
        assert (found["seconds_bucket1.0"], found["seconds_bucket10.0"], found["seconds_count"]) == (0, 3, 3)
        assert not any(name.endswith("_created") for name in found)


def test_counts_outlive_a_killed_worker_and_its_gauges_do_not(start: Start, directory: Path) -> None:
    first, second = start(), start()
    for worker in (first, second, second):
        worker.tell("work")
    second.kill()
    for _ in range(2):
        found = first.samples()
        assert (found["done_total"], found["busy"]) == (3, 1)
        assert (found["seconds_sum"], found["seconds_bucket10.0"], found["seconds_count"]) == (15, 3, 3)
    # The number of files does not grow with the number of replaced workers.
    assert not any(str(second.process.pid) in file.name for file in directory.iterdir())
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


def test_running_workers_are_counted(start: Start) -> None:
    first, second, third = start(), start(), start()
    for worker in (second, third):
        worker.tell("state")
    assert first.tell("count workers") == 3
    second.kill()
    third.tell("sign off")
    assert first.tell("count workers") == 1


def test_counts_outlive_a_worker_that_signed_off_and_its_gauges_do_not(start: Start, directory: Path) -> None:
    first, second = start(), start()
    for worker in (first, second):
        worker.tell("work")
    first.tell("sign off")
    first.end()
    found = second.samples()
    assert (found["done_total"], found["busy"]) == (2, 1)
    # The directory belongs to the process that created it.
    second.tell("sign off")
    assert directory.exists()


def test_worker_without_a_directory_knows_it(start: Start) -> None:
    assert start(None).tell("state") == (False, True)
    assert start().tell("state") == (True, False)


def test_directory_of_the_operator_is_used_and_stays(start: Start, directory: Path) -> None:
    first, second = start(), start()
    for worker in (first, second):
        worker.tell("work")
    second.kill()
    found = first.samples()
    assert (found["done_total"], found["busy"]) == (2, 1)
    first.tell("sign off")
    third = start()
    third.tell("work")
    assert (third.samples()["done_total"], third.samples()["busy"]) == (3, 1)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /dev/shm."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(multiprocess, "MEMORY", tmp_path)
    return tmp_path


def test_shared_directory_is_private_empty_and_temporary(memory: Path) -> None:
    for _ in range(2):
        with shared_directory("host-80"):
            directory = Path(os.environ[VARIABLE])
            assert directory.parent == memory
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert list(directory.iterdir()) == []
            (directory / "counter_1.db").touch()
        assert not directory.exists()
        assert VARIABLE not in os.environ


def test_files_of_a_killed_service_are_removed(memory: Path) -> None:
    with shared_directory("host-80"):
        directory = Path(os.environ[VARIABLE])
    directory.mkdir()
    (directory / "counter_1.db").write_bytes(b"old")
    with shared_directory("host-80"):
        assert Path(os.environ[VARIABLE]) == directory
        assert list(directory.iterdir()) == []


def test_services_on_other_ports_do_not_share_a_directory(memory: Path) -> None:
    with shared_directory("host-80"):
        first = os.environ.pop(VARIABLE)
        with shared_directory("host-81"):
            assert os.environ[VARIABLE] != first
        os.environ[VARIABLE] = first


def test_directory_that_someone_else_controls_is_not_used(memory: Path) -> None:
    elsewhere = memory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (memory / f"agent-router-metrics-{os.getuid()}-host-80").symlink_to(elsewhere)
    with shared_directory("host-80"):
        assert VARIABLE not in os.environ
    assert (elsewhere / "file").exists()


def test_parent_of_workers_leaves_the_operators_directory_alone(
    memory: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(directory))
    multiprocess.prepare()
    assert multiprocess.count_workers() == 1
    with shared_directory("host-80"):
        assert os.environ[VARIABLE] == str(directory)
        assert multiprocess.count_workers() == 0
    assert directory.exists()


def test_single_process_keeps_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    multiprocess.prepare()
    assert not multiprocess.is_active()
    assert not multiprocess.is_missing()
    multiprocess.sign_off()


@pytest.mark.parametrize("dsn", ["sqlite:///{}/app.db", "postgresql://app@localhost/app"])
def test_settings_import_nothing_that_keeps_metrics(tmp_path: Path, dsn: str) -> None:
    """prometheus_client reads the variable when it is imported, and django-prometheus reads the settings."""
    script = "import sys, agent_router.settings; print([name for name in sys.modules if 'prometheus' in name])"
    environment = os.environ | {"DB_DSN": dsn.format(tmp_path), "REDIS_URL": "redis://localhost"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
