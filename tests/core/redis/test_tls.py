"""TLS with real handshakes, and passwords with special characters."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import uvloop

from core.redis.client import RedisClient
from tests.ports import free_port
from tests.redis_sentinels import until
from tests.redis_server import RedisServer
from tests.tls_files import TLSFiles

USER, PASSWORD = "böb:@/?#", "p@ss:w/rd?#%25&=+é,;'\" x"
PATIENCE_SECONDS = 5.0


@pytest.fixture
def files(tmp_path: Path) -> TLSFiles:
    return TLSFiles.make(tmp_path)


@contextmanager
def guarded(files: TLSFiles, *options: str) -> Iterator[str]:
    """Run a server with TLS and a user with the service's permissions. Yield user, password, host and port."""
    port = free_port()
    with RedisServer(*files.options(port), *options) as server:
        rules = ["on", f">{PASSWORD}", "~*", "+@all", "-@admin", "-@dangerous", "+info"]
        server.command("ACL", "SETUSER", USER, *rules)
        server.command("ACL", "SETUSER", "default", "off")
        yield f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def patient_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS handshake can take longer than a query may, on a busy machine."""
    monkeypatch.setattr("core.redis.discovery.QUERY_SECONDS", PATIENCE_SECONDS)


def state_of(url: str, job: Callable[[RedisClient], Awaitable[None]] | None = None) -> str:
    async def main() -> str:
        client = RedisClient()
        await client.open(url, PATIENCE_SECONDS)
        state = client.state
        if job:
            await job(client)
        await client.close()
        if state == "down":
            # The loop cleans up after a failed handshake, and reports no end of that.
            await asyncio.sleep(0.1)
        return state

    return asyncio.run(main(), loop_factory=uvloop.new_event_loop)


async def use(client: RedisClient) -> None:
    large = bytes(range(256)) * 2000
    assert await client.call([("SET", "k", large), ("GET", "k")]) == [b"OK", large]
    replies = await asyncio.gather(*(client.call([("ECHO", n)]) for n in range(50)))
    assert replies == [[b"%d" % n] for n in range(50)]
    assert len(client.run_id) == 40


def test_user_password_and_authority(files: TLSFiles, caplog: pytest.LogCaptureFixture) -> None:
    with guarded(files) as there, caplog.at_level(logging.INFO, "agent_router.redis"):
        assert state_of(f"rediss://{there}/1?ssl_ca_certs={files.authority}", use) == "up"
        assert state_of(f"rediss://{there}/1?ssl_cert_reqs=none", use) == "up"
        assert state_of(f"rediss://{there}/1") == "down", "no trusted authority signed the certificate"
        assert "certificate" in caplog.text
        assert state_of(f"rediss://{there.replace('x@', 'y@')}/1?ssl_ca_certs={files.authority}") == "down"
        assert "invalid username-password pair" in caplog.text
        assert state_of(f"redis://{there}/1") == "down", "no TLS"
    assert "p@ss" not in caplog.text
    assert "p%40ss" not in caplog.text


def test_certificate_for_another_name(tmp_path: Path) -> None:
    files = TLSFiles.make(tmp_path, "DNS:redis.internal")
    with guarded(files) as there:
        assert state_of(f"rediss://{there}?ssl_ca_certs={files.authority}") == "down"
        assert state_of(f"rediss://{there}?ssl_ca_certs={files.authority}&ssl_check_hostname=false", use) == "up"


def test_client_certificate(files: TLSFiles) -> None:
    with guarded(files, "--tls-auth-clients", "yes") as there:
        ours = f"ssl_certfile={files.certificate}&ssl_keyfile={files.key}"
        assert state_of(f"rediss://{there}?ssl_ca_certs={files.authority}") == "down"
        assert state_of(f"rediss://{there}?ssl_ca_certs={files.authority}&{ours}", use) == "up"


def test_cluster(files: TLSFiles) -> None:
    port = free_port()
    cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes"]
    with RedisServer(*files.options(port), *cluster, password=PASSWORD) as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: b"cluster_state:ok" in server.command("CLUSTER", "INFO"))
        there = f":{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
        assert state_of(f"rediss+cluster://{there}?ssl_ca_certs={files.authority}", use) == "up"


def test_sentinel(files: TLSFiles, tmp_path: Path) -> None:
    master, sentinel = free_port(), free_port()
    with RedisServer(*files.options(master), password=PASSWORD) as server:
        path = tmp_path / "sentinel.conf"
        path.write_text(f"sentinel monitor main 127.0.0.1 {master} 1\nsentinel auth-pass main {quoted(PASSWORD)}\n")
        watching = [str(path), "--sentinel", *files.options(sentinel), "--tls-replication", "yes"]
        with RedisServer(*watching, password=PASSWORD):
            word = quote(PASSWORD, safe="")
            url = f"rediss+sentinel://:{word}@127.0.0.1:{sentinel}/main/2"
            assert state_of(f"{url}?sentinel_password={word}&ssl_ca_certs={files.authority}", use) == "up"
            assert state_of(f"{url}?ssl_ca_certs={files.authority}") == "down", "the sentinel wants a password too"
        with server.client() as admin:
            assert set(admin.info("keyspace")) == {"db2"}


def quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
