"""Continuous replication with the files of deploy/: a restore after a loss has all acknowledged items."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.deploy.replication import Replication, s3_server, wait_until
from tests.deploy.tools import litestream
from tests.running_service import PASSWORD, PROJECT, RunningService

SCRIPT = PROJECT / "deploy" / "serve-replicated.sh"
BATCH = 200

pytestmark = pytest.mark.slow


@pytest.fixture(params=["file", "s3"])
def replica(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a replica."""
    litestream()
    with ExitStack() as stack:
        yield f"file://{tmp_path}/replica" if request.param == "file" else stack.enter_context(s3_server())


def create(client: httpx.Client, count: int) -> None:
    for number in range(count):
        answer = client.post("/v1/items/", json={"name": str(number), "description": "x" * 4000})
        assert answer.status_code == 201


def count(client: httpx.Client) -> int:
    total: int = client.get("/v1/items/", params={"total": "true", "limit": 1}).json()["total"]
    return total


def lose(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()


def test_replica_has_all_acknowledged_items(replica: str, tmp_path: Path) -> None:
    """The service writes enough to run checkpoints, which must not hide changes from Litestream."""
    database = tmp_path / "app.db"
    replication = Replication(database, replica, tmp_path)
    with RunningService(tmp_path, DB_DSN=f"sqlite:///{database}") as service:
        replication.start()
        try:
            with closing(service.user()) as client:
                email = client.email  # type: ignore[attr-defined]
                for total in (BATCH, 2 * BATCH, 3 * BATCH):
                    create(client, BATCH)
                    wait_until(lambda total=total: replication.restored_items() == total)  # type: ignore[misc]
            assert replication.metric("litestream_txid") > 1
            assert replication.metric("litestream_sync_error_count") == 0
            service.kill()
        finally:
            replication.kill()
        lose(database)
        assert replication.restore(database)
        service.start()
        with closing(service.log_in(email, PASSWORD)) as client:
            assert count(client) == 3 * BATCH
            create(client, 1)
        service.manage("doctor")


class ReplicatedService(RunningService):
    """The service as deploy/serve-replicated.sh starts it."""

    def __init__(self, replication: Replication) -> None:
        super().__init__(replication.folder, DB_DSN=f"sqlite:///{replication.database}")
        programs = f"{Path(sys.executable).parent}:{Path(litestream()).parent}:{self.environment['PATH']}"
        self.environment |= replication.environment | {"PATH": programs, "HOST": "127.0.0.1", "PORT": str(self.port)}

    def boot(self) -> subprocess.Popen[bytes]:
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(SCRIPT)], cwd=PROJECT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        return self.process


def test_container_restores_everything_after_losing_its_volume(replica: str, tmp_path: Path) -> None:
    database = tmp_path / "app.db"
    service = ReplicatedService(Replication(database, replica, tmp_path))
    try:
        service.start()
        with closing(service.user()) as client:
            email = client.email  # type: ignore[attr-defined]
            create(client, 20)
        # After SIGTERM, Litestream waits for the service and sends its last changes.
        service.stop()
        lose(database)
        service.start()
        with closing(service.log_in(email, PASSWORD)) as client:
            assert count(client) == 20
            create(client, 5)
            assert count(client) == 25
        service.stop()
    finally:
        service.kill()
    assert service.log.count('"Application shutdown complete."') == 2


def test_container_creates_no_database_while_the_replica_is_unreachable(tmp_path: Path) -> None:
    litestream()
    url = "s3://backups/agent-router?endpoint=http://127.0.0.1:1&region=us-east-1"
    service = ReplicatedService(Replication(tmp_path / "app.db", url, tmp_path))
    process = service.boot()
    try:
        # Litestream retries for minutes.
        assert process.wait(5) != 0
    except subprocess.TimeoutExpired:
        service.kill()
    assert not (tmp_path / "app.db").exists()
    assert "uvicorn" not in service.log


def test_container_reports_missing_variables(tmp_path: Path) -> None:
    done = subprocess.run([str(SCRIPT)], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "LITESTREAM_DATABASE: is not set" in done.stderr
