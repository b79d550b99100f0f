"""X-Forwarded-For and X-Forwarded-Proto, as far as trusted proxies wrote them.

Each proxy appends the address of its peer, so the last address that belongs to no trusted proxy is the client's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_HOPS = 32
MAX_ENTRY_BYTES = 64
# An IPv6 address in brackets, with or without a port, or an IPv4 address with a port.
_WRAPPED = re.compile(r"\[(?P<v6>[^\]]*:[^\]]*)\](?::[0-9]{1,5})?|(?P<v4>[^:]*):[0-9]{1,5}")


@dataclass(frozen=True)
class TrustedProxies:
    """The nearest `hops` proxies with any address, or the proxies in `networks`. By default no proxy is trusted."""

    hops: int = 0
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hops or self.networks)

    def trusts(self, address: str, distance: int) -> bool:
        """Whether an address belongs to a trusted proxy. The peer has distance 0; over a Unix socket it is empty."""
        if self.hops or not address:
            return distance < max(self.hops, 1)
        parsed = ip_address(address)
        return any(parsed in network for network in self.networks)


def parse_trusted_proxies(text: str) -> TrustedProxies:
    """Parse `2`, `10.0.0.0/8, 192.0.2.7` or an empty text. Raises ValueError with a message for operators."""
    text = text.strip()
    if not text:
        return TrustedProxies()
    if text.isascii() and text.isdigit():
        if len(text) > 3 or int(text) > MAX_HOPS:
            raise ValueError(f"{text[:40]} proxies are too many: at most {MAX_HOPS}")
        return TrustedProxies(hops=int(text))
    return TrustedProxies(networks=tuple(_parse_network(part.strip()) for part in text.split(",")))


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is neither an address nor a network: write a number of proxies, or addresses and "
            "networks such as 10.0.0.0/8, separated by commas"
        ) from None


def walk_back(proxies: TrustedProxies, peer: str, forwarded_for: Iterable[bytes]) -> tuple[str, int]:
    """Return the client's address and the number of trusted proxies. An entry that is not an address ends the walk."""
    entries = b",".join(forwarded_for).split(b",")
    address, distance = peer, 0
    while proxies.trusts(address, distance):
        entry = parse_entry(entries.pop()) if entries else None
        if entry is None:
            return address, distance + 1
        address, distance = entry, distance + 1
    return address, distance


def scheme_for(distance: int, forwarded_proto: Iterable[bytes]) -> str:
    """Return the client's scheme. X-Forwarded-Proto has one value, or one value for each proxy."""
    entries = [entry.strip().lower() for entry in b",".join(forwarded_proto).split(b",")]
    return entries[-min(distance, len(entries))].decode("latin-1")


def parse_entry(entry: bytes) -> str | None:
    entry = entry.strip(b" \t")
    return _parse_entry(entry) if len(entry) <= MAX_ENTRY_BYTES else None


@lru_cache(maxsize=4096)
def _parse_entry(entry: bytes) -> str | None:
    text = entry.decode("latin-1")
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped["v6"] or wrapped["v4"]
    return normalize_address(text)


def normalize_address(text: str) -> str | None:
    """Return an address in canonical form without its zone, an IPv4-mapped one as IPv4, or None if it is malformed."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
