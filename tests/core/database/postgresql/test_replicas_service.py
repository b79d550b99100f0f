"""The service with read replicas: clients see every acknowledged change at once, even if replicas fail."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import pytest

from tests.postgres_replica import PostgresReplica
from tests.postgres_server import PostgresServer, paused
from tests.redis_server import RedisServer
from tests.running_service import STAFF_EMAIL, STAFF_PASSWORD, RunningService

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def replica(primary: PostgresServer) -> Iterator[PostgresReplica]:
    with PostgresReplica(primary) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["alone", "with Redis"])
def redis(request: pytest.FixtureRequest) -> Iterator[RedisServer | None]:
    with ExitStack() as stack:
        yield stack.enter_context(RedisServer()) if request.param else None


@pytest.fixture
def service(
    primary: PostgresServer, replica: PostgresReplica, redis: RedisServer | None, start: Callable[..., RunningService]
) -> RunningService:
    dsn = primary.create_database()
    settings = {"REDIS_URL": redis.url} if redis else {}
    return start(workers=2, DB_DSN=dsn, DB_REPLICA_DSN=replica.twin(dsn), DB_POOL_SIZE="4", **settings)


def check_of_replicas(service: RunningService) -> str:
    with service.client() as client:
        report = client.get("/health/ready").json()
    assert report["status"] in ("ready", "degraded")
    status: str = report["checks"]["replicas"]["status"]
    return status


def until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass
class Readers:
    """Clients that change items and read them at once, on connections to any of the workers."""

    service: RunningService
    wrong: list[Any] = field(default_factory=list)
    turns: int = 0

    def __enter__(self) -> Self:
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait(self, turns: int) -> None:
        goal = self.turns + turns
        until(lambda: bool(self.turns >= goal or self.wrong), 60)

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                me = stack.enter_context(closing(self.service.user()))
                staff = stack.enter_context(closing(self.service.log_in(STAFF_EMAIL, STAFF_PASSWORD)))
                # Several connections per client, because any worker may accept a connection.
                clients = [stack.enter_context(self.service.client(headers=me.headers)) for _ in range(4)]
                while not self._is_over.is_set():
                    self._change_and_look([me, *clients], staff)
                    self.turns += 1
        except Exception as error:
            self.wrong.append(error)
            raise

    def _change_and_look(self, clients: list[httpx.Client], staff: httpx.Client) -> None:
        made = clients[0].post("/v1/items/", json={"name": "made"})
        path = f"/v1/items/{made.json()['id']}"
        for version in (1, 2, 3):
            found = [client.get(path).json().get("version") for client in [*clients, staff]]
            listed = [client.get("/v1/items/?limit=1").json()["items"][0]["version"] for client in clients]
            if {*found, *listed} != {version}:
                self.wrong.append((version, found, listed))
            clients[version].patch(path, json={"description": f"changed {version}"})
        clients[1].delete(path)
        gone = [client.get(path).status_code for client in [*clients, staff]]
        if set(gone) != {404}:
            self.wrong.append(gone)


def test_clients_never_read_stale_data(
    service: RunningService, replica: PostgresReplica, redis: RedisServer | None
) -> None:
    def forget() -> None:
        """Read items from the replica, which fills the cache."""
        if redis is not None:
            with redis.client() as client:
                client.flushall()

    until(lambda: check_of_replicas(service) == "up")
    with Readers(service) as readers:
        readers.wait(10)
        replica.pause_replay()
        for _ in range(3):
            readers.wait(3)
            forget()
        until(lambda: check_of_replicas(service) == "left out")
        replica.resume_replay()
        until(lambda: check_of_replicas(service) == "up")
        readers.wait(5)
        with paused(replica):
            readers.wait(5)
        forget()
        until(lambda: check_of_replicas(service) == "up")
        replica.kill()
        readers.wait(5)
        replica.start()
        until(lambda: check_of_replicas(service) == "up")
        readers.wait(10)
    assert readers.wrong == []
    took = sum(sample for sample in reads_of(service, replica))
    assert took > 0
    assert "Traceback" not in service.log


def reads_of(service: RunningService, replica: PostgresReplica) -> list[float]:
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    name = f'db_replica_reads_total{{server="127.0.0.1:{replica.port}"}}'
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]


@pytest.mark.measured
def test_doctor_reports_replica_problems(primary: PostgresServer, replica: PostgresReplica, tmp_path: Any) -> None:
    dsn = primary.create_database()
    stopped = RunningService(tmp_path, DB_DSN=dsn, DB_REPLICA_DSN=replica.twin(dsn))
    stopped.prepare_database()

    def report(**environment: str) -> str:
        return stopped.manage("doctor", check=False, **environment).stdout

    until(lambda: f"replica 127.0.0.1:{replica.port} is up to date" in report())
    assert f"127.0.0.1:{primary.port} is not a replica" in report(DB_REPLICA_DSN=dsn)
    replica.pause_replay()
    with primary.connect() as connection:
        connection.execute("CREATE TABLE later ()")
    assert f"replica 127.0.0.1:{replica.port} is behind the primary" in report()
    replica.stop()
    assert f"replica 127.0.0.1:{replica.port} is unreachable" in report()
