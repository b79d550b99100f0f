"""Out of descriptors: connections that are open go on, others are closed at once, and all is well again by itself."""

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
# Of SQLite: those of the default DB_POOL_SIZE, and the writer.
THREADS = 4 + 1
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def one_worker(start_stack: Callable[..., Stack]) -> Stack:
    return start_stack(workers=1)


def limit_files(pid: int, count: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))


@contextmanager
def crowd(port: int) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=30)))
            for _ in range(CONNECTIONS)
        ]


def use(me: httpx.Client) -> str:
    """Writes and reads over the connection that is open."""
    made = me.post("/v1/items/", json={"name": "an item"})
    assert made.status_code == 201, made.text
    assert me.get(made.headers["Location"]).status_code == 200
    return made.headers["Location"]


def answer(connection: socket.socket) -> bytes:
    """The first line, or nothing if the server has closed the connection."""
    try:
        connection.sendall(LIVE)
        return connection.recv(100).partition(b"\r")[0]
    except ConnectionError:
        return b""


@pytest.mark.slow
def test_connections_beyond_the_limit_harm_no_others(one_worker: Stack) -> None:
    service = one_worker.service
    assert service.process is not None
    pid = service.process.pid
    with closing(service.user()) as me:
        kept = [use(me)]
        if one_worker.postgres is None:
            await_true(lambda: sqlite_connections(pid) == THREADS, "not all of its threads connect")
        limit = open_files(pid) + SPARE
        limit_files(pid, limit)
        with crowd(service.port) as connections:
            await_true(lambda: open_files(pid) >= limit, "the limit is not reached")
            lines, used, began = len(service.log.splitlines()), cpu_seconds(pid), time.monotonic()
            kept += [use(me) for _ in range(10)]
            one_worker.kill_redis()
            kept += [use(me) for _ in range(10)]
            if one_worker.postgres is None:
                time.sleep(2)
                assert cpu_seconds(pid) - used < 0.5 * (time.monotonic() - began), "it is busy with nothing"
            assert len(service.log.splitlines()) - lines < 100, "a line for each request, and few besides"
            answers = Counter(answer(one) for one in connections)
        assert set(answers) <= {b"HTTP/1.1 200 OK", b""}
        assert answers[b""] >= CONNECTIONS - SPARE
        await_true(lambda: open_files(pid) < limit, "connections that were closed are kept")
        with service.client() as other:
            await_true(lambda: other.get("/health/ready").json()["status"] == "ready", "it does not recover")
        assert all(me.get(path).status_code == 200 for path in kept)


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["postgres"], indirect=True)
def test_database_that_no_descriptor_is_left_for_is_503_and_back_by_itself(one_worker: Stack) -> None:
    service = one_worker.service
    assert service.process is not None
    pid = service.process.pid
    with closing(service.user(timeout=60)) as me:
        kept = use(me)
        before = open_files(pid)
        assert one_worker.postgres is not None
        one_worker.postgres.kill()
        limit_files(pid, 3)  # those are taken: not even the place of a connection that is closed now may be had again
        one_worker.postgres.start()
        # A list: one item may be known for a moment without asking the database.
        refused = [me.get("/v1/items/"), me.post("/v1/items/", json={"name": "another"})]
        assert [answer.status_code for answer in refused] == [503, 503]
        assert all(answer.headers["Retry-After"] for answer in refused)
        limit_files(pid, before + SPARE)
        await_true(lambda: me.post("/v1/items/", json={"name": "new"}).status_code == 201, "it does not recover")
        assert me.get(kept).status_code == 200
