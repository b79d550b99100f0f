"""A private Redis master with a replica, and three sentinels that watch them, for tests of real failovers."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import free_port
from tests.redis_server import RedisServer

SERVICE = "Main-1"
DOWN_AFTER_MILLISECONDS = 600
START_SECONDS = 30


class RedisSentinels:
    """`with RedisSentinels() as sentinels: ... sentinels.url`. Servers and sentinels share one password."""

    def __init__(self, password: str = "") -> None:
        self.password = password
        options = ["--repl-diskless-sync-delay", "0", "--masterauth", password]
        self.servers = [RedisServer(*options, password=password) for _ in range(2)]
        self.ports = [free_port() for _ in range(3)]
        self.folder = Path(tempfile.mkdtemp(prefix="sentinels-"))
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        quoted = quote(self.password, safe="")
        options = f"?sentinel_password={quoted}" if quoted else ""
        return f"redis+sentinel://{f':{quoted}@' if quoted else ''}{hosts}/{SERVICE}/0{options}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            master, replica = self.servers
            with replica.client() as client:
                client.replicaof("127.0.0.1", str(master.port))
                until(lambda: client.info("replication").get("master_link_status") == "up")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(self._end)
            self.processes = [self._start(port) for port in self.ports]
            until(lambda: all(self._is_ready(port) for port in self.ports))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sentinel(self, port: int) -> "redis.Redis":
        """Return a client of one of the sentinels."""
        return redis.Redis(port=port, socket_timeout=0.2, password=self.password or None, retry=Retry(NoBackoff(), 0))

    def fail_over(self) -> None:
        """Make the replica take over from a healthy master."""
        with self.sentinel(self.ports[0]) as client:
            client.sentinel_failover(SERVICE)

    def name_as_master(self, server: RedisServer) -> bool:
        """Return whether a sentinel names the server as the master."""
        for port in self.ports:
            with self.sentinel(port) as client, suppress(redis.RedisError):
                _, master_port = client.sentinel_get_master_addr_by_name(SERVICE)
                if int(master_port) == server.port:
                    return True
        return False

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        quoted = json.dumps(self.password, ensure_ascii=False)
        lines: Iterable[str] = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {SERVICE} 3000",
            *([f"sentinel auth-pass {SERVICE} {quoted}", f"requirepass {quoted}"] if self.password else []),
        ]
        path = self.folder / f"{port}.conf"
        path.write_text("\n".join(lines) + "\n")
        return subprocess.Popen(["redis-server", str(path), "--sentinel"], stdout=subprocess.DEVNULL)

    def _is_ready(self, port: int) -> bool:
        """Return whether the sentinel knows the replica and the other sentinels, so that it can vote."""
        with self.sentinel(port) as client:
            about, replicas = client.sentinel_master(SERVICE), client.sentinel_slaves(SERVICE)
        return (about["num-other-sentinels"], len(replicas)) == (2, 1)

    def _end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def until(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Wait for the condition. A Redis error counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, "the condition is still false"
        time.sleep(0.02)
