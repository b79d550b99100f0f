"""Process metrics of several workers, combined."""

import multiprocessing
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from core.telemetry import process_metrics
from core.telemetry.process_metrics import COMBINED_BY, WorkersCollector

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


def values(pids: list[int]) -> dict[str, float]:
    return {one.name: one.value for family in WorkersCollector(pids).collect() for one in family.samples}


def burn() -> None:
    while sum(os.times()[:2]) < 0.3:
        pass


def test_one_process_has_the_metrics_of_prometheus_client() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    names = {one.name for family in registry.collect() for one in family.samples}
    found = values([os.getpid()])
    assert set(found) == names == set(COMBINED_BY)
    assert found["process_start_time_seconds"] == registry.get_sample_value("process_start_time_seconds")
    assert found["process_max_fds"] == registry.get_sample_value("process_max_fds")


def test_values_of_several_processes_are_combined() -> None:
    parent, one = os.getppid(), os.getpid()
    both, alone = values([one, parent]), values([one])
    assert both["process_resident_memory_bytes"] > alone["process_resident_memory_bytes"]
    assert both["process_start_time_seconds"] <= alone["process_start_time_seconds"]
    assert both["process_open_fds"] >= alone["process_open_fds"]


def test_ended_process_is_skipped() -> None:
    ended = multiprocessing.get_context("spawn").Process(target=print)
    ended.start()
    ended.join()
    assert ended.pid is not None
    assert values([ended.pid]) == {}


def test_cpu_time_of_a_worker_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process plays the parent of several workers."""
    monkeypatch.setattr(process_metrics, "parent_process", object)
    monkeypatch.setattr(os, "getppid", os.getpid)
    before = values([os.getpid()])["process_cpu_seconds_total"]
    worker = multiprocessing.get_context("spawn").Process(target=burn)
    worker.start()
    worker.join()
    assert values([os.getpid()])["process_cpu_seconds_total"] - before > 0.25
