"""The service with two workers, its database and its Redis. Tests can kill each of them."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService

CHANGE_BY_ORM = """
from django.db import transaction
from items.models import Item
with transaction.atomic():
    item = Item.objects.get(pk={!r})
    item.name = {!r}
    item.save()
    item.refresh_from_db()
print(item.version)
"""


def children(parent: int) -> Iterator[int]:
    """Yield the child processes of a process."""
    with suppress(OSError):
        for task in Path(f"/proc/{parent}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def workers(service: RunningService) -> list[int]:
    """Return the processes that serve requests: the only process, or the children of the supervisor."""
    assert service.process is not None
    if service.workers == 1:
        return [service.process.pid]
    return [pid for pid in children(service.process.pid) if b"spawn_main" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """Return the command line, or nothing if the process has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class Stack:
    """`with Stack(folder, is_postgres=True) as stack: … stack.service.url`."""

    def __init__(
        self, folder: Path, *, is_postgres: bool, workers: int = 2, settings: Mapping[str, str] | None = None
    ) -> None:
        self.redis = RedisServer()
        self.postgres = PostgresServer() if is_postgres else None
        self._folder, self._workers, self._settings = folder, workers, settings or {}
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            parts.enter_context(self.redis)
            settings = {"REDIS_URL": self.redis.url, "ACCESS_TOKEN_TTL": "7200", **self._settings}
            if self.postgres is not None:
                settings["DB_DSN"] = parts.enter_context(self.postgres).create_database()
            else:
                settings.setdefault("DB_DSN", f"sqlite:///{self._folder}/app.db")
            self.service = RunningService(self._folder, workers=self._workers, **settings)
            parts.callback(self.service.kill)
            parts.enter_context(self.service)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def kill_worker(self) -> None:
        """Kill one worker with SIGKILL. Its parent starts another."""
        if found := workers(self.service):
            with suppress(ProcessLookupError):
                os.kill(random.choice(found), signal.SIGKILL)

    def kill_service(self) -> None:
        """Kill all processes of the service with SIGKILL, and start the service again."""
        self.service.kill()
        self.service.start()

    def restart(self) -> None:
        """Stop the service with SIGTERM, and start it again."""
        self.service.stop()
        self.service.start()

    def kill_redis(self) -> None:
        """Kill Redis with SIGKILL, and start it again, empty."""
        self.redis.kill()
        time.sleep(random.random() / 4)
        self.redis.start()

    def flush_redis(self) -> None:
        with self.redis.client() as client:
            client.flushall()

    def hang_redis(self) -> None:
        """Stop Redis for up to half a second, with its connections open."""
        self.redis.pause()
        time.sleep(random.random() / 2)
        self.redis.resume()

    def kill_database(self) -> None:
        """Kill PostgreSQL with SIGKILL, and start it again. SQLite dies with the service."""
        assert self.postgres is not None
        self.postgres.kill()
        self.postgres.start()

    def change_by_orm(self, item_id: str, name: str) -> int:
        """Change an item as the admin and a shell do, and return its version."""
        shell = self.service.manage("shell", "--verbosity=0", "-c", CHANGE_BY_ORM.format(item_id, name))
        return int(shell.stdout.split()[-1])


def run_concurrently(jobs: list[Callable[[], None]]) -> None:
    """Run all jobs in threads that start at the same moment."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        barrier.wait()
        job()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
