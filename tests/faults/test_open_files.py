"""Without free file descriptors, open connections work and new ones are closed. The service recovers by itself."""

import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest

from tests.faults.processes import cpu_seconds, open_files, sqlite_connections
from tests.faults.stack import Stack
from tests.waiting import await_true

SPARE, CONNECTIONS = 20, 100
# SQLite connections: the default DB_POOL_SIZE, and the writer.
THREADS = 4 + 1
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def one_worker(start_stack: Callable[..., Stack]) -> Stack:
    return start_stack(workers=1)


def limit_files(pid: int, count: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))


@contextmanager
def idle_connections(port: int) -> Iterator[list[socket.socket]]:
    """Open many connections that send nothing."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=30)))
            for _ in range(CONNECTIONS)
        ]


def write_and_read(me: httpx.Client) -> str:
    """Write and read over the open connection, and return the path of the item."""
    made = me.post("/v1/items/", json={"name": "an item"})
    assert made.status_code == 201, made.text
    assert me.get(made.headers["Location"]).status_code == 200
    return made.headers["Location"]


def status_line(connection: socket.socket) -> bytes:
    """Return the status line, or nothing if the server closed the connection."""
    try:
        connection.sendall(LIVE)
        return connection.recv(100).partition(b"\r")[0]
    except ConnectionError:
        return b""


@pytest.mark.slow
def test_connections_beyond_the_limit_do_not_affect_open_ones(one_worker: Stack) -> None:
    service = one_worker.service
    assert service.process is not None
    pid = service.process.pid
    with closing(service.user()) as me:
        paths = [write_and_read(me)]
        if one_worker.postgres is None:
            await_true(lambda: sqlite_connections(pid) == THREADS, "not all database threads connect")
        limit = open_files(pid) + SPARE
        limit_files(pid, limit)
        with idle_connections(service.port) as connections:
            await_true(lambda: open_files(pid) >= limit, "the limit is not reached")
            lines, used, began = len(service.log.splitlines()), cpu_seconds(pid), time.monotonic()
            paths += [write_and_read(me) for _ in range(10)]
            one_worker.kill_redis()
            paths += [write_and_read(me) for _ in range(10)]
            if one_worker.postgres is None:
                time.sleep(2)
                assert cpu_seconds(pid) - used < 0.5 * (time.monotonic() - began), "the service uses CPU without work"
            assert len(service.log.splitlines()) - lines < 100, "the service logs more than its requests"
            status_lines = Counter(status_line(one) for one in connections)
        assert set(status_lines) <= {b"HTTP/1.1 200 OK", b""}
        assert status_lines[b""] >= CONNECTIONS - SPARE
        await_true(lambda: open_files(pid) < limit, "closed connections keep their descriptors")
        with service.client() as other:
            await_true(lambda: other.get("/health/ready").json()["status"] == "ready", "no recovery")
        assert all(me.get(path).status_code == 200 for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["postgres"], indirect=True)
def test_missing_descriptor_for_the_database_is_503_until_one_is_free(one_worker: Stack) -> None:
    service = one_worker.service
    assert service.process is not None
    pid = service.process.pid
    with closing(service.user(timeout=60)) as me:
        path = write_and_read(me)
        before = open_files(pid)
        assert one_worker.postgres is not None
        one_worker.postgres.kill()
        limit_files(pid, 3)  # below the number in use, so that even a closed descriptor cannot be opened again
        one_worker.postgres.start()
        # The list always needs the database. A single item might be cached.
        refused = [me.get("/v1/items/"), me.post("/v1/items/", json={"name": "another"})]
        assert [response.status_code for response in refused] == [503, 503]
        assert all(response.headers["Retry-After"] for response in refused)
        limit_files(pid, before + SPARE)
        await_true(lambda: me.post("/v1/items/", json={"name": "new"}).status_code == 201, "no recovery")
        assert me.get(path).status_code == 200
