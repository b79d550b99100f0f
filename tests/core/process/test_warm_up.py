"""Warm-up jobs run once, after startup, and independently of each other."""

import asyncio
import logging

import pytest

from core.process import warm_up
from core.process.warm_up import WarmUp


async def failing() -> None:
    raise RuntimeError("not today")


def test_each_job_runs_once_and_failures_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_up, "AFTER_SECONDS", 0)
    done: list[str] = []

    async def run() -> None:
        finished = asyncio.Event()

        async def job() -> None:
            done.append("job")

        async def last() -> None:
            finished.set()

        warm_up_once = WarmUp([failing, job, last])
        await warm_up_once.open()
        assert not done, "open() must not wait for the jobs"
        await asyncio.wait_for(finished.wait(), 20)
        await warm_up_once.close()

    with caplog.at_level(logging.ERROR, logger="agent_router.lifespan"):
        asyncio.run(run())
    assert done == ["job"]
    assert [record.getMessage() for record in caplog.records] == ["failing failed"]


def test_no_job_runs_if_the_process_stops_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "AFTER_SECONDS", 3600)
    done: list[str] = []

    async def job() -> None:
        done.append("job")

    async def run() -> None:
        warm_up_once = WarmUp([job])
        await warm_up_once.open()
        await asyncio.sleep(0)
        await warm_up_once.close()

    asyncio.run(run())
    assert not done
