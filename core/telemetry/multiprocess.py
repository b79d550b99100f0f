"""Metrics of several workers, through prometheus_client's multiprocess mode.

Each worker keeps its values in files in PROMETHEUS_MULTIPROC_DIR, and any worker answers a scrape for all of them.
prometheus_client chooses its mode on import. `prepare` must run before, so only functions import prometheus_client.
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
    """Set PROMETHEUS_MULTIPROC_DIR to a private directory for this process's workers, unless the operator has set it.

    If the directory cannot be created, each worker reports only itself. `name` is unique among the services of a host.
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
    Path(os.environ[VARIABLE]).mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked() as directory:
        # The descriptor stays open, so the lock lasts until the process ends.
        descriptor = os.open(directory / f"{os.getpid()}.worker", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_active() -> bool:
    return VARIABLE in os.environ


def is_missing() -> bool:
    """Whether this is a worker that shares no directory with the others."""
    return parent_process() is not None and not is_active()


@contextmanager
def all_workers() -> "Iterator[CollectorRegistry]":
    """Yield a registry with the sums over all workers, ended workers included."""
    from prometheus_client import CollectorRegistry

    from core.telemetry.process_metrics import WorkersCollector

    with _locked() as directory:
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
    with _locked() as directory:
        return len(_running(directory))


def sign_off() -> None:
    """Remove this process's registration and gauges. Its counts stay."""
    if not is_active():
        return
    with suppress(OSError), _locked() as directory:
        (directory / f"{os.getpid()}.worker").unlink(missing_ok=True)
        for file in directory.glob(f"gauge_*_{os.getpid()}.db"):
            file.unlink()


def _fold_ended_workers(directory: Path) -> None:
    """Move the counts of ended workers into one file, so that replaced workers do not slow down every scrape."""
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


@contextmanager
def _locked() -> Iterator[Path]:
    directory = Path(os.environ[VARIABLE])
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield directory
