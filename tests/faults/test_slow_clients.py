"""Slow clients neither delay other clients nor use much memory, and the service finally disconnects them."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from tests.faults.processes import memory_mib, open_files
from tests.running_service import RunningService
from tests.waiting import await_true

pytestmark = pytest.mark.slow

CONNECTIONS = 150
# Slow request heads, slow bodies, and responses read a few bytes at a time.
ATTACKS = {
    "heads": ["-H", "-i", "1"],
    "bodies": ["-B", "-i", "1", "-s", "8192", "-t", "POST"],
    "reads": ["-X", "-n", "1", "-w", "1", "-y", "2", "-z", "1", "-k", "5"],
}
PIPELINED = 300


@pytest.fixture
def service(start: Callable[..., RunningService]) -> RunningService:
    return start(BODY_TIMEOUT_SECONDS="2")


@pytest.fixture
def me(service: RunningService) -> Iterator[httpx.Client]:
    with closing(service.user(timeout=60)) as client:
        yield client


def pid(service: RunningService) -> int:
    assert service.process is not None
    return service.process.pid


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_slow_clients_do_not_delay_others(service: RunningService, me: httpx.Client, attack: str) -> None:
    program = shutil.which("slowhttptest")
    if program is None:
        pytest.skip("slowhttptest is not installed: apt-get install slowhttptest")
    path = me.post("/v1/items/", json={"name": "an item"}).headers["Location"]
    files = open_files(pid(service))
    command = [program, *ATTACKS[attack], "-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", "5"]
    command += ["-u", f"{service.url}/openapi.json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as attacker:
        await_true(lambda: open_files(pid(service)) > files + CONNECTIONS / 3, "the attack does not begin")
        reads = 0
        while attacker.poll() is None:
            assert me.get(path, timeout=5).status_code == 200
            reads += 1
        assert reads > 10
    await_true(lambda: open_files(pid(service)) <= files + 2, "the service keeps the connections of the attack")


def test_slow_body_is_408_and_its_connection_is_closed(service: RunningService, me: httpx.Client) -> None:
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as slow:
        head = f"POST /v1/items/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {me.headers['Authorization']}\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        response = b"".join(iter(lambda: slow.recv(4096), b""))
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in response


def test_client_that_never_reads_costs_the_memory_of_one_response(service: RunningService, me: httpx.Client) -> None:
    for _ in range(60):
        assert me.post("/v1/items/", json={"name": "x", "metadata": {"text": "x" * 16_000}}).status_code == 201
    size_mib = len(me.get("/v1/items/?limit=100").content) / 2**20
    assert size_mib * PIPELINED > 200
    before = memory_mib(pid(service))
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as reader:
        head = "GET /v1/items/?limit=100 HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: {me.headers['Authorization']}\r\n\r\n"
        reader.sendall(head.encode() * PIPELINED)
        for _ in range(100):
            assert me.get("/v1/items/?limit=1").status_code == 200
        assert memory_mib(pid(service)) - before < 50
