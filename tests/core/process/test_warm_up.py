"""What a worker prepares after its start: once each, whatever becomes of the others, and not if it stops before."""

import asyncio
import logging

import pytest

from core.process import warm_up
from core.process.warm_up import WarmUp


async def failing() -> None:
    raise RuntimeError("not today")


def test_every_job_is_done_once_and_a_failure_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_up, "AFTER_SECONDS", 0)
    done: list[str] = []

    async def whole() -> None:
        finished = asyncio.Event()

        async def job() -> None:
            done.append("job")

        async def last() -> None:
            finished.set()

        resource = WarmUp([failing, job, last])
        await resource.open()
        assert not done, "the start waits for it"
        await asyncio.wait_for(finished.wait(), 20)
        await resource.close()

    with caplog.at_level(logging.ERROR, logger="agent_router.lifespan"):
        asyncio.run(whole())
    assert done == ["job"]
    assert [record.getMessage() for record in caplog.records] == ["failing failed"]


def test_who_stops_before_prepares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "AFTER_SECONDS", 3600)
    done: list[str] = []

    async def job() -> None:
        done.append("job")

    async def whole() -> None:
        resource = WarmUp([job])
        await resource.open()
        await asyncio.sleep(0)
        await resource.close()

    asyncio.run(whole())
    assert not done
