"""What REDIS_URL may be, and TLS, which only a real handshake proves."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from core.redis import RedisClient
from core.redis_url import check_url
from tests.redis_server import RedisServer, free_port


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://localhost:6379/0",
        "redis://",
        "redis://:p%40ss@cache.internal",
        "redis://user:pass@[::1]:6380/15?socket_keepalive=true&max_connections=50",
        "rediss://cache.internal:6380/1?ssl_cert_reqs=none",
        "unix:///run/redis/redis.sock?db=2",
        "redis://localhost?protocol=3&client_name=router",
    ],
)
def test_what_redis_py_understands_is_fine(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://localhost:6379", "redis://, rediss:// or unix://"),
        ("localhost:6379", "redis://, rediss:// or unix://"),
        ("redis://localhost:port/0", "host or port"),
        ("redis://localhost:99999/0", "host or port"),
        ("redis://[::1/0", "host or port"),
        ("redis://localhost/cache", "number of a database"),
        ("unix://", "path"),
        ("redis://localhost?no_such_option=1", "option"),
        ("redis://localhost?socket_timeout=soon", "option"),
        ("redis://localhost?protocol=9", "option"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        check_url(url.replace("redis://localhost", "redis://:s3cret@localhost"))
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls(tmp_path: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    options = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]

    async def main() -> None:
        client = RedisClient()
        await client.open(f"rediss://:s3cret@127.0.0.1:{port}/1?ssl_ca_certs={certificate}", 5)
        large = bytes(range(256)) * 2000
        assert await client.call([("SET", "k", large), ("GET", "k")]) == [b"OK", large]
        replies = await asyncio.gather(*(client.call([("ECHO", n)]) for n in range(50)))
        assert replies == [[b"%d" % n] for n in range(50)]
        await client.close()
        await client.open(f"rediss://:s3cret@127.0.0.1:{port}/1", 5)
        assert client.state == "down", "nobody vouches for the certificate"
        await client.close()

    with RedisServer("--tls-port", str(port), *options, password="s3cret"):
        asyncio.run(main(), loop_factory=loop_factory)
