"""The hash slots of Redis Cluster: the slot of a command's key, and the node of a slot."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from redis.crc import key_slot

from core.redis.pipeline import Command
from core.redis.url import Node

WITHOUT_KEY = frozenset({b"PING", b"ECHO", b"INFO", b"SCRIPT", b"TIME"})
SCRIPTS = frozenset({b"EVALSHA", b"EVAL"})


def slot_of(command: Command) -> int | None:
    """Return the slot of the command's first key, which all of its keys must share; None without a key."""
    if isinstance(command, bytes):
        # Lengths and words alternate: *3 $3 SET $1 k ...
        words = command.split(b"\r\n", 9)[2::2]
    else:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in command[:4]]
    name, key_index = words[0].upper(), 1
    if name in SCRIPTS:
        key_index = 3 if words[2] != b"0" else len(words)
    key = words[key_index] if key_index < len(words) else b""
    return None if name in WITHOUT_KEY or not key else key_slot(key)


def key_in(slots: range, prefix: bytes) -> bytes:
    return next(key for number in count() if key_slot(key := prefix + b"%d" % number) in slots)


def read_owners(reply: list[Any], queried: Node) -> Mapping[Node, list[range]]:
    """Return the masters and their slots from CLUSTER SLOTS. A node may omit its own host name."""
    queried_host, _ = queried
    owners: dict[Node, list[range]] = {}
    for first, last, (host, port, *_), *_ in reply:
        name = (host or b"").decode()
        node = (queried_host if name in ("", "?") else name, port)
        owners.setdefault(node, []).append(range(first, last + 1))
    return owners


def read_node(text: str) -> Node:
    """Parse the address in a redirection, such as 127.0.0.1:6381."""
    host, _, port = text.rpartition(":")
    return host, int(port)
