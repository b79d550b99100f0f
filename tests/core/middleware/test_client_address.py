"""The client's address and scheme behind trusted proxies."""

import asyncio
from ipaddress import ip_address

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from core.http.forwarded import (
    MAX_ENTRY_BYTES,
    _parse_entry,
    normalize_address,
    parse_entry,
    parse_trusted_proxies,
    walk_back,
)
from core.http.request import Request
from core.middleware.client_address import client_address


async def view(request: Request) -> HttpResponseBase:
    return HttpResponse()


def seen(
    django_settings: Settings,
    trusted: str,
    *forwarded: str,
    peer: str | None = "10.0.0.1",
    proto: str = "",
    scheme: str = "http",
) -> tuple[str, bool]:
    """Return the client's address and whether it used HTTPS."""
    django_settings.TRUSTED_PROXIES = parse_trusted_proxies(trusted)
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    headers += [(b"x-forwarded-proto", proto.encode())] if proto else []
    client = (peer, 1234) if peer else None
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": headers,
        "client": client,
        "scheme": scheme,
    }
    request = Request(scope, dict(headers), b"")

    async def main() -> None:
        await client_address(view)(request)

    asyncio.run(main())
    return request.client_ip, request.is_https


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        # No proxy is trusted.
        ("", ["203.0.113.7"], "10.0.0.1"),
        ("0", ["203.0.113.7"], "10.0.0.1"),
        # A number of proxies.
        ("1", ["203.0.113.7"], "203.0.113.7"),
        ("1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("2", ["198.51.100.1, 203.0.113.7"], "198.51.100.1"),
        ("2", ["1.1.1.1", "198.51.100.1", "203.0.113.7"], "198.51.100.1"),
        ("3", ["203.0.113.7"], "203.0.113.7"),
        ("1", [], "10.0.0.1"),
        # Networks and addresses.
        ("10.0.0.0/8", ["1.1.1.1, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ("10.0.0.1,10.9.9.9", ["203.0.113.7,10.9.9.9"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.9.9.9"], "10.9.9.9"),
        ("192.0.2.0/24", ["203.0.113.7"], "10.0.0.1"),
        ("10.0.0.0/8", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("::/0, 10.0.0.0/8", ["203.0.113.7, 2001:db8::1"], "203.0.113.7"),
        # An entry that is not an address ends the walk.
        ("2", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("2", ["nonsense, 203.0.113.7"], "203.0.113.7"),
        ("2", ["198.51.100.1,, 203.0.113.7"], "203.0.113.7"),
        ("1", [""], "10.0.0.1"),
        # Ports, brackets, zones, mapped addresses.
        ("1", ["203.0.113.7:5678"], "203.0.113.7"),
        ("1", ["[2001:DB8::7]:5678"], "2001:db8::7"),
        ("1", ["[2001:db8::7]"], "2001:db8::7"),
        ("1", ["2001:db8:0::7"], "2001:db8::7"),
        ("1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.0/8", ["203.0.113.7, ::ffff:10.0.0.3"], "203.0.113.7"),
        ("1", ["203.0.113.7:port"], "10.0.0.1"),
        ("1", ["203.0.113.7%eth0"], "10.0.0.1"),
        ("1", ["[203.0.113.7]"], "10.0.0.1"),
    ],
)
def test_forwarded_for_counts_from_the_right_while_proxies_are_trusted(
    settings: Settings, trusted: str, forwarded: list[str], address: str
) -> None:
    assert seen(settings, trusted, *forwarded)[0] == address


def test_peer_is_normalized(settings: Settings) -> None:
    assert seen(settings, "", peer="::ffff:192.0.2.1")[0] == "192.0.2.1"
    assert seen(settings, "192.0.2.0/24", "203.0.113.7", peer="::ffff:192.0.2.1")[0] == "203.0.113.7"
    assert seen(settings, "", peer="fe80::1%eth0")[0] == "fe80::1"


def test_peer_of_a_unix_socket_is_local(settings: Settings) -> None:
    assert seen(settings, "", "203.0.113.7", peer=None)[0] == "127.0.0.1"
    assert seen(settings, "10.0.0.0/8", "203.0.113.7", peer=None)[0] == "203.0.113.7"
    assert seen(settings, "1", peer=None)[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "proto", "scheme", "is_https"),
    [
        ("", "", "http", False),
        ("", "", "https", True),
        ("", "https", "http", False),
        ("192.0.2.0/24", "https", "http", False),
        ("1", "https", "http", True),
        ("10.0.0.0/8", "HTTPS", "http", True),
        ("1", "http", "https", False),
        ("1", "https, http", "http", False),
        ("2", "https, http", "http", True),
        ("2", "https", "http", True),
        ("1", "", "https", True),
    ],
)
def test_forwarded_proto_counts_only_from_trusted_peers(
    settings: Settings, trusted: str, proto: str, scheme: str, is_https: bool
) -> None:
    assert seen(settings, trusted, "203.0.113.7, 203.0.113.8", proto=proto, scheme=scheme)[1] is is_https


@pytest.mark.parametrize(
    "text", ["300.1.2.3/8", "10.0.0.0/33", "proxy.example", "10.0.0.1,", "1,2", "-1", "99", "9" * 99]
)
def test_invalid_trusted_proxies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8|at most 32") as refusal:
        parse_trusted_proxies(text)
    assert len(str(refusal.value)) < 250


addresses = st.ip_addresses().map(str)
trust = st.integers(0, 4).map(str) | st.sampled_from(["10.0.0.0/8", "0.0.0.0/0,::/0", "10.0.0.1"])


@settings(deadline=None)
@given(
    trusted=trust,
    lines=st.lists(st.binary(max_size=60) | addresses.map(str.encode), max_size=6),
    peer=addresses,
)
def test_any_header_yields_an_address(trusted: str, lines: list[bytes], peer: str) -> None:
    proxies = parse_trusted_proxies(trusted)
    address, distance = walk_back(proxies, normalize_address(peer) or "", lines)
    assert normalize_address(address) == address
    assert distance <= b",".join(lines).count(b",") + 2
    assert proxies or (address, distance) == (normalize_address(peer), 0)


@settings(deadline=None)
@given(
    forged=st.lists(addresses, max_size=5),
    client=addresses,
    hops=st.integers(1, 4),
    chain=st.lists(addresses),
)
def test_forged_forwarded_for_is_ignored(forged: list[str], client: str, hops: int, chain: list[str]) -> None:
    """Each proxy appends its peer, so the nearest of `hops` proxies appended the last entry."""
    chain = (chain + ["10.0.0.1"] * hops)[: hops - 1]
    line = ", ".join([*forged, client, *chain]).encode()
    assert walk_back(parse_trusted_proxies(str(hops)), "10.0.0.9", [line])[0] == normalize_address(client)


@settings(deadline=None)
@given(st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_entry_is_an_address_or_none(entry: bytes) -> None:
    parsed = parse_entry(entry)
    assert parsed is None or str(ip_address(parsed)) == parsed


def test_long_entry_is_no_address() -> None:
    assert parse_entry(b"1" * 64_000) is None
    assert parse_entry(b"[" + b"1:" * 32_000 + b"]") is None


def test_long_entries_are_not_cached() -> None:
    before = _parse_entry.cache_info().currsize
    assert parse_entry(b"1" * (MAX_ENTRY_BYTES + 1)) is None
    assert _parse_entry.cache_info().currsize == before
