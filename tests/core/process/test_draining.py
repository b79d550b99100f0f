"""Shutdown under load: each request that was read is answered, and each client gets `Connection: close`."""

import http.client
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing

import orjson
import pytest

from tests.running_service import START_SECONDS, RunningService

CLIENTS = 8
BODY = b'{"name": "under load"}'
# uvicorn raises the signal again after its shutdown. The parent of several workers exits with 0.
EXIT_CODES = {1: {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 0}, 2: {signal.SIGTERM: 0, signal.SIGINT: 0}}


class Load:
    """Clients that create items, each on its own connection, until a response says `Connection: close`.

    Every other one pauses between its requests, with its connection idle when the signal comes.
    """

    def __init__(self, service: RunningService) -> None:
        self.service = service
        with closing(service.user()) as me:
            self.user_id = uuid.UUID(me.get("/v1/auth/me").json()["id"]).hex
            self.headers = {"Authorization": me.headers["Authorization"], "Content-Type": "application/json"}
        self.lost: list[str] = []
        self.answers: list[tuple[float, int, bool]] = []
        self.signalled_at = float("inf")
        self.threads = [threading.Thread(target=self._run, args=(n % 2 * 0.3,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self, pause_seconds: float) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=20)) as connection:
            while True:
                sent_at, response = time.monotonic(), None
                try:
                    connection.request("POST", "/v1/items/", BODY, self.headers)
                    response = connection.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException) as error:
                    # Half a response is an error. No response is fine on a connection that the server has closed.
                    if response is not None or sent_at < self.signalled_at + 1:
                        self.lost.append(repr(error))
                    return
                self.answers.append((time.monotonic(), response.status, response.will_close))
                if response.will_close:
                    return
                time.sleep(pause_seconds)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while len(self.answers) < count:
            assert time.monotonic() < deadline, self.service.log
            time.sleep(0.01)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(START_SECONDS)
            assert not thread.is_alive()


def ready(service: RunningService) -> tuple[int, dict[str, object], str | None]:
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)) as connection:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        return response.status, orjson.loads(response.read()), response.getheader("Connection")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_group", [False, True])
def test_no_request_is_lost(
    start: Callable[..., RunningService], workers: int, number: signal.Signals, to_group: bool
) -> None:
    service = start(workers=workers)
    load = Load(service)
    load.wait_for(50)
    end_under(load, number, to_group=to_group)


@pytest.mark.fault
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_in_twenty_restarts(start: Callable[..., RunningService], workers: int) -> None:
    service = start(workers=workers)
    for turn in range(20):
        load = Load(service)
        load.wait_for(50 + 7 * turn)
        end_under(load, signal.SIGTERM, to_group=turn % 4 == 3)
        service.start()


def end_under(load: Load, number: signal.Signals, *, to_group: bool) -> None:
    """Stop the service under load and check that no request is lost."""
    service = load.service
    process = service.process
    assert process is not None
    load.signalled_at = time.monotonic()
    if to_group:  # as a terminal does it: to the parent and its workers
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    if service.workers == 1:
        status, problem, connection = ready(service)
        assert (status, connection) == (503, "close")
        assert problem["checks"] == {"draining": {"status": "down"}}
    load.join()
    code = process.wait(START_SECONDS)
    service.process = None
    assert load.lost == []
    assert {status for _, status, _ in load.answers} == {201}
    assert all(not closes for at, _, closes in load.answers if at < load.signalled_at)
    # Each client got `Connection: close` and was not cut off.
    assert sum(closes for _, _, closes in load.answers) == CLIENTS
    assert code == EXIT_CODES[service.workers][number]
    stored = service.query("SELECT count(*) FROM item WHERE owner_id = ?", load.user_id)
    assert stored == [(len(load.answers),)]


def test_idle_service_stops_quickly_and_closes_everything(start: Callable[..., RunningService]) -> None:
    service = start()
    with closing(service.user()) as me:
        me.get("/v1/items/")  # keeps its connection open
        began = time.monotonic()
        assert service.stop() == -signal.SIGTERM
        assert time.monotonic() - began < 10
    assert [line for line in service.log_lines() if line["level"] in ("WARNING", "ERROR")] == []
    assert service.log_lines()[-1]["message"].startswith("Finished server process")
    # The last database connection checkpointed the WAL.
    assert not (service.folder / "app.db-wal").exists()
