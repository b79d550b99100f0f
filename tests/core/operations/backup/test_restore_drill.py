"""Write under load, back up, kill -9, restore, start: all changes acknowledged before the backup survive."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.postgres_server import PostgresServer
from tests.running_service import PASSWORD, RunningService

WRITERS = 4
ENOUGH = 50

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningService]:
    """A running service, on each database in turn."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            workers, dsn = 1, f"sqlite:///{tmp_path / 'app.db'}"
        else:
            workers, dsn = 2, stack.enter_context(PostgresServer()).create_database()
        yield stack.enter_context(RunningService(tmp_path, workers=workers, DB_DSN=dsn))


class Load:
    """Threads that create and change items, and record the acknowledged names by id."""

    def __init__(self, service: RunningService, client: httpx.Client) -> None:
        self.service, self.headers = service, {"Authorization": client.headers["Authorization"]}
        self.acknowledged: dict[str, str] = {}
        self._lock, self._stop, self._many = threading.Lock(), threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(WRITERS)
        self._running: list[Future[None]] = []

    def start(self) -> None:
        self._running = [self._pool.submit(self._write, number) for number in range(WRITERS)]

    def wait_for_many(self) -> None:
        """Wait until ENOUGH further changes are acknowledged."""
        self._many.clear()
        assert self._many.wait(60), "the service acknowledged too few changes"

    def copy(self) -> dict[str, str]:
        """Return the names acknowledged up to now."""
        with self._lock:
            return dict(self.acknowledged)

    def stop(self) -> None:
        """End the threads. Requests that failed because the service was killed do not count."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        for future in self._running:
            future.result()

    def _write(self, writer: int) -> None:
        number = 0
        with self.service.client(headers=self.headers) as client:
            # Leaves most of the CPU to the service.
            while not self._stop.wait(0.03):
                number += 1
                try:
                    made = client.post("/v1/items/", json={"name": f"{writer}-{number}"})
                    self._note(made)
                    self._note(client.patch(f"/v1/items/{made.json()['id']}", json={"name": f"{writer}-{number}b"}))
                except httpx.TransportError:
                    return

    def _note(self, answer: httpx.Response) -> None:
        assert answer.is_success, answer.text
        item = answer.json()
        with self._lock:
            self.acknowledged[item["id"]] = item["name"]
            if len(self.acknowledged) % ENOUGH == 0:
                self._many.set()


def names_of(client: httpx.Client, ids: set[str]) -> dict[str, str]:
    return {item_id: client.get(f"/v1/items/{item_id}").json()["name"] for item_id in ids}


def test_changes_acknowledged_before_the_backup_survive_the_loss(service: RunningService, tmp_path: Path) -> None:
    folder = str(tmp_path / "backups")
    with closing(service.user()) as client:
        email = client.email  # type: ignore[attr-defined]
        load = Load(service, client)
        load.start()
        try:
            load.wait_for_many()
            before = load.copy()
            output = service.manage("backup", folder).stdout
            load.wait_for_many()
            backup = output.partition(":")[0]
            refused = service.manage("restore", backup, "--force", check=False)
            assert "is in use" in refused.stderr
            service.kill()
        finally:
            load.stop()
    after = load.copy()
    assert len(after) > len(before)
    service.manage("verify", backup)

    restored = service.manage("restore", backup, "--force").stdout
    assert re.search("kept as .*before_restore", restored)
    service.manage("migrate", "--check")
    service.start()

    with closing(service.log_in(email, PASSWORD)) as client:
        found = names_of(client, set(before))
        # The backup may hold a name that was changed after `before` was copied.
        lost = {item_id: name for item_id, name in before.items() if found[item_id] not in (name, f"{name}b")}
        assert not lost
        newest = [item_id for item_id in after if client.get(f"/v1/items/{item_id}").status_code == 404]
        assert newest, "the backup contains items that were created after it"
        created = client.post("/v1/items/", json={"name": "after the restore"})
        assert created.status_code == 201
