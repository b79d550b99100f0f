"""Metrics of several workers: prometheus_client's multiprocess mode, looked after.

Whichever worker is scraped answers for all of them, from files that each keeps. The workers of a service share
a directory named by their parent, and the last of them to end removes it. A process alone keeps its values in
memory, which is faster. PROMETHEUS_MULTIPROC_DIR names another directory, for any number of processes.

`prepare` must come before the first import of prometheus_client, which chooses the mode then; so none of it
is imported at the top.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Memory, and writable even if the root file system is not. A full disk under a mapped file kills the process.
MEMORY = Path("/dev/shm")  # noqa: S108
# In the names of files, the process whose values are those of all that have ended.
ARCHIVE = "0"


def prepare() -> None:
    """Settles where metrics are kept, and registers this process there."""
    os.environ.setdefault("PROMETHEUS_DISABLE_CREATED_SERIES", "true")
    parent = parent_process()
    if VARIABLE not in os.environ:
        if parent is None or parent.pid is None:
            return
        try:
            home = _private_home()
        except OSError:
            # Then each worker tells of itself alone; by `is_missing` the service can say so once it can log.
            return
        os.environ[VARIABLE] = str(home / _name(parent.pid))
    directory = Path(os.environ[VARIABLE])
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        if _is_ours(directory):
            _remove_stale(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / f"{_name(os.getpid())}.worker").touch()


def is_active() -> bool:
    """Whether values are kept in files."""
    return VARIABLE in os.environ


def is_missing() -> bool:
    """Whether there are several workers that could not get a directory together."""
    return parent_process() is not None and not is_active()


@contextmanager
def all_workers() -> "Iterator[CollectorRegistry]":
    """A registry with the sums over all workers, dead ones included, while nobody changes their files."""
    from prometheus_client import CollectorRegistry

    from core.telemetry.process_metrics import WorkersCollector

    directory = Path(os.environ[VARIABLE])
    with _locked(directory):
        _fold_dead_workers(directory)
        registry = CollectorRegistry()
        registry.register(_FilesCollector(directory))
        registry.register(WorkersCollector(int(name.partition("-")[0]) for name in _workers(directory)))
        yield registry


class _FilesCollector:
    """The library's own reading of the files, but for those that are empty: their workers are just making them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> "Iterable[Metric]":
        from prometheus_client.multiprocess import MultiProcessCollector

        files = [str(file) for file in self._directory.glob("*.db") if file.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)
        return merged


def count_workers() -> int:
    """How many processes put their values into the files."""
    return sum(map(_is_running, _workers(Path(os.environ[VARIABLE]))))


def sign_off() -> None:
    """This process ends. The last of a directory that `prepare` made removes it."""
    if not is_active():
        return
    directory = Path(os.environ[VARIABLE])
    with suppress(OSError), _locked(directory):
        (directory / f"{_name(os.getpid())}.worker").unlink(missing_ok=True)
        for file in directory.glob(f"gauge_*_{os.getpid()}.db"):
            file.unlink()
        if _is_ours(directory) and not any(map(_is_running, _workers(directory))):
            shutil.rmtree(directory)


def _fold_dead_workers(directory: Path) -> None:
    """Moves the counts of workers that have ended into one file, and forgets their gauges.

    Else a service whose workers are replaced now and then would have more to read with every scrape.
    """
    from prometheus_client.mmap_dict import MmapedDict

    alive = {name.partition("-")[0] for name in _workers(directory) if _is_running(name)} | {str(os.getpid())}
    for file in directory.glob("*.db"):
        kind, _, rest = file.stem.partition("_")
        pid = rest.rpartition("_")[2]
        if pid in alive or pid == ARCHIVE:
            continue
        if kind != "gauge" and file.stat().st_size:
            archive = MmapedDict(str(directory / f"{kind}_{ARCHIVE}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                archive.write_value(key, archive.read_value(key)[0] + value, 0.0)
            archive.close()
        file.unlink()
    for name in _workers(directory):
        if not _is_running(name):
            (directory / f"{name}.worker").unlink(missing_ok=True)


def _workers(directory: Path) -> list[str]:
    return [file.stem for file in directory.glob("*.worker")]


def _home_name() -> str:
    return f"agent-router-metrics-{os.getuid()}"


def _private_home() -> Path:
    """The directory of all services of this user, which nobody else may have made."""
    home = (MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())) / _home_name()
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{home} belongs to somebody else, or others may write to it")
    return home


def _is_ours(directory: Path) -> bool:
    """Whether `prepare` made it, and nobody else uses it."""
    return directory.parent.name == _home_name()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time. The lock of a directory that comes and goes is beside it."""
    place = directory.parent if _is_ours(directory) else directory
    place.mkdir(mode=0o700, exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_stale(home: Path) -> None:
    """Directories of services that were killed."""
    for directory in home.iterdir():
        if directory.is_dir() and not _is_running(directory.name):
            shutil.rmtree(directory, ignore_errors=True)


def _name(pid: int) -> str:
    """A process's id and start, as the id alone will be used again."""
    return f"{pid}-{_started(pid)}"


def _is_running(name: str) -> bool:
    pid, _, started = name.partition("-")
    if not pid.isdecimal() or _started(int(pid)) != started:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _started(pid: int) -> str:
    """When the process started, in clock ticks since boot; "0" where there is no /proc."""
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    return stat_line.rpartition(")")[2].split()[19]
