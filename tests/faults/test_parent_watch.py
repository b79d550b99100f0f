"""Workers whose parent is killed finish their requests and end, so that the service can start again."""

import os
import signal
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.stack import command_line, workers
from tests.running_service import RunningService
from tests.waiting import await_true


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(start: Callable[..., RunningService]) -> None:
    service = start(workers=2)
    with closing(service.user()) as me:
        path = me.post("/v1/items/", json={"name": "kept"}).headers["Location"]
        orphans = workers(service)
        assert len(orphans) == 2
        assert service.process is not None
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        await_true(lambda: not any(map(command_line, orphans)), "workers outlive their parent")
        service.start()
        assert me.get(path).json()["name"] == "kept"
    assert service.log.count("The parent process has died: this worker stops") == 2
