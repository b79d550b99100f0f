"""Metrics of several workers, through prometheus_client's multiprocess mode.

Each worker keeps its values in files in PROMETHEUS_MULTIPROC_DIR, and any worker answers a scrape for all of them.
`manage.py serve` sets the variable for several workers. A single process keeps its values in memory, which is faster.

prometheus_client chooses the mode when it is first imported. `prepare` must run before that, so this module imports
prometheus_client only inside functions.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Writable even if the root file system is not. A full disk would kill a process that has mapped a file there.
MEMORY = Path("/dev/shm")  # noqa: S108
# Stands for the process id in the names of the files that hold the counts of all ended workers.
ARCHIVE = "0"


@contextmanager
def shared_directory(name: str) -> Iterator[None]:
    """Name an empty, private directory to the workers that this process starts, and remove it afterwards.

    A directory that the operator has named stays, and its contents too. Without permission to create a directory, the
    variable stays unset, and each worker reports only itself. `name` is unique among the services of a host.
    """
    if VARIABLE in os.environ:
        # The parent of the workers has no metrics.
        sign_off()
        yield
        return
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    directory = parent / f"agent-router-metrics-{os.getuid()}-{name}"
    shutil.rmtree(directory, ignore_errors=True)
    try:
        # Fails if another user owns a directory of this name.
        directory.mkdir(mode=0o700)
    except OSError:
        yield
        return
    os.environ[VARIABLE] = str(directory)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        shutil.rmtree(directory, ignore_errors=True)


def prepare() -> None:
    """Register this process as a worker if PROMETHEUS_MULTIPROC_DIR is set."""
    os.environ.setdefault("PROMETHEUS_DISABLE_CREATED_SERIES", "true")
    if not is_active():
        return
    directory = _directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        descriptor = os.open(_registration(directory), os.O_RDWR | os.O_CREAT, 0o600)
        # The descriptor stays open, and so the lock lasts until the process ends, however it ends.
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_active() -> bool:
    """Return whether values are kept in files."""
    return VARIABLE in os.environ


def is_missing() -> bool:
    """Return whether this is one of several workers that share no directory."""
    return parent_process() is not None and not is_active()


@contextmanager
def all_workers() -> "Iterator[CollectorRegistry]":
    """Yield a registry with the sums over all workers, ended ones included. No worker changes the files meanwhile."""
    from prometheus_client import CollectorRegistry

    from core.telemetry.process_metrics import WorkersCollector

    directory = _directory()
    with _locked(directory):
        _fold_ended_workers(directory)
        registry = CollectorRegistry()
        registry.register(_FilesCollector(directory))
        registry.register(WorkersCollector(_running(directory)))
        yield registry


class _FilesCollector:
    """prometheus_client's own collector, except that it skips empty files: their workers are about to fill them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> "Iterable[Metric]":
        from prometheus_client.multiprocess import MultiProcessCollector

        files = [str(file) for file in self._directory.glob("*.db") if file.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)
        return merged


def count_workers() -> int:
    """Return how many running processes keep their values in the directory."""
    directory = _directory()
    with _locked(directory):
        return len(_running(directory))


def sign_off() -> None:
    """Remove this process's registration and gauges. Its counts stay."""
    if not is_active():
        return
    directory = _directory()
    with suppress(OSError), _locked(directory):
        _registration(directory).unlink(missing_ok=True)
        for file in directory.glob(f"gauge_*_{os.getpid()}.db"):
            file.unlink()


def _fold_ended_workers(directory: Path) -> None:
    """Move the counts of ended workers into one file, and delete their gauges.

    Otherwise, each replaced worker would add files to every scrape.
    """
    from prometheus_client.mmap_dict import MmapedDict

    running = {str(pid) for pid in (*_running(directory), os.getpid())}
    for file in directory.glob("*.db"):
        kind, _, rest = file.stem.partition("_")
        pid = rest.rpartition("_")[2]
        if pid in running or pid == ARCHIVE:
            continue
        if kind != "gauge" and file.stat().st_size:
            archive = MmapedDict(str(directory / f"{kind}_{ARCHIVE}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                archive.write_value(key, archive.read_value(key)[0] + value, 0.0)
            archive.close()
        file.unlink()


def _running(directory: Path) -> list[int]:
    """Return the ids of the registered processes, and delete the registrations of ended ones."""
    found = []
    for registration in directory.glob("*.worker"):
        with registration.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # the worker holds its lock
                found.append(int(registration.stem))
            else:
                registration.unlink()
    return found


def _directory() -> Path:
    return Path(os.environ[VARIABLE])


def _registration(directory: Path) -> Path:
    return directory / f"{os.getpid()}.worker"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time work on the files."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
