"""CPU, memory and file descriptors of all workers, which prometheus_client omits in multiprocess mode."""

import os
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import parent_process
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# How to combine the workers' values. For file descriptors, the worker closest to its limit counts.
COMBINED_BY: dict[str, Callable[[list[float]], float]] = {
    "process_cpu_seconds_total": sum,
    "process_resident_memory_bytes": sum,
    "process_virtual_memory_bytes": sum,
    "process_open_fds": max,
    "process_max_fds": min,
    "process_start_time_seconds": min,
}


class WorkersCollector(Collector):
    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[float]] = {"process_cpu_seconds_total": list(_seconds_of_ended_workers())}
        documentation = {}
        for pid in self._pids:
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                for sample in family.samples:
                    found.setdefault(sample.name, []).append(sample.value)
                    documentation[sample.name] = family.documentation
        for name, text in documentation.items():
            value = COMBINED_BY[name](found[name])
            is_counter = name.endswith("_total")
            yield CounterMetricFamily(name, text, value) if is_counter else GaugeMetricFamily(name, text, value)


def _seconds_of_ended_workers() -> Iterator[float]:
    """Yield the CPU time of the parent's ended children, without which the total would decrease."""
    if parent_process() is None:
        return
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return
    yield (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
