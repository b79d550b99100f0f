"""Valid and invalid forms of REDIS_URL."""

import pytest

from core.redis.url import check_url, parse_url


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
        "redis+sentinel://one,two:26380,[::1]:26381/main",
        "rediss+sentinel://user:pass@one/main/3?sentinel_password=p%40ss&ssl_cert_reqs=none",
        "redis+cluster://one,two:7001,[::1]:7002",
        "rediss+cluster://:pass@one/0?ssl_check_hostname=false",
    ],
)
def test_urls_of_redis_py_are_accepted(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://localhost:6379", "redis://, rediss:// or unix://"),
        ("localhost:6379", "redis://, rediss:// or unix://"),
        ("redis://localhost:port/0", "host or port"),
        ("redis://localhost:99999/0", "host or port"),
        ("redis://[::1/0", "host or port"),
        ("redis://localhost/cache", "number of a database"),
        ("redis://one,redis://two", "host or port"),
        ("redis://one,two", "host or port"),
        ("redis://localhost#0", "percent-encoded"),
        ("redis://us#er:pass@localhost/0", "percent-encoded"),
        ("redis://:pass/word@localhost/0", "percent-encoded"),
        ("redis://us?er:pass@localhost/0", "option"),
        ("unix://", "path"),
        ("unix+cluster:///run/redis.sock", "must start with"),
        ("redis+sentinel://localhost:26379", "name of the master"),
        ("redis+sentinel://localhost:26379/main/two", "name of the master"),
        ("redis+sentinel:///main", "host or port"),
        ("redis+sentinel://localhost/main?sentinel_colour=red", "option"),
        ("redis+cluster://", "host or port"),
        ("redis+cluster://one,/0", "host or port"),
        ("redis+cluster://one/1", "number 0"),
        ("redis+cluster://one?db=1", "number 0"),
        ("redis+cluster://one?sentinel_password=x", "option"),
        ("redis://localhost?ssl_ca_certs=/etc/hostname", "option"),
        ("rediss://localhost?ssl_ca_certs=/no/such/file.pem", "ssl_ca_certs that does not exist"),
        ("redis://localhost?no_such_option=1", "option"),
        ("redis://localhost?socket_timeout=soon", "option"),
        ("redis://localhost?protocol=9", "option"),
    ],
)
def test_invalid_url_is_reported_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        check_url(url.replace("redis://localhost", "redis://:s3cret@localhost"))
    assert "s3cret" not in str(refusal.value)


def test_sentinels_and_servers_get_their_own_credentials() -> None:
    options = "sentinel_username=watcher&sentinel_password=p%40ss&socket_keepalive=true&ssl_cert_reqs=none"
    address = parse_url(f"rediss+sentinel://us%2Fer:p%3A%2Bs@One,[::1]:7/Main%201/3?{options}")
    assert (address.kind, address.service, address.is_tls) == ("sentinel", "Main 1", True)
    assert address.nodes == (("one", 26379), ("::1", 7))
    shared = {"protocol": 2, "socket_keepalive": True, "ssl_cert_reqs": "none"}
    assert address.options == shared | {"username": "us/er", "password": "p:+s", "db": 3}
    assert address.sentinel_options == shared | {"username": "watcher", "password": "p@ss"}
    connection = address.connection(("10.0.0.1", 6380))
    assert (connection.host, connection.port) == ("10.0.0.1", 6380)  # type: ignore[attr-defined]


def test_options_of_one_server_are_those_of_redis_py() -> None:
    address = parse_url("redis://:pass@[::1]:7/4?client_name=router")
    options = {"protocol": 2, "host": "::1", "port": 7, "db": 4, "password": "pass", "client_name": "router"}
    assert (address.kind, address.options) == ("server", options)
    assert parse_url("unix://:pass@/run/redis.sock?db=2").options["path"] == "/run/redis.sock"
