"""Redis Cluster's slots: which one a command's key is in, and which node has it."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from core.redis.pipeline import Command
from core.redis.url import Node

__all__ = ["SLOTS", "key_in", "key_slot", "read_node", "read_owners", "slot_of"]

WITHOUT_KEY = frozenset({b"PING", b"ECHO", b"INFO", b"SCRIPT", b"TIME"})
SCRIPTS = frozenset({b"EVALSHA", b"EVAL"})


def slot_of(command: Command) -> int | None:
    """The slot of the command's first key, which all of its keys must share; None if it has none."""
    if isinstance(command, bytes):
        # Lengths and words in turn: *3 $3 SET $1 k ...
        words = command.split(b"\r\n", 9)
        name, at = words[2].upper(), 4
        if name in SCRIPTS:
            at = 8 if words[6] != b"0" else len(words)
        key = words[at] if at < len(words) else b""
    else:
        name, at = _encoded(command[0]).upper(), 1
        if name in SCRIPTS:
            at = 3 if int(command[2]) else len(command)
        key = _encoded(command[at]) if at < len(command) else b""
    return None if name in WITHOUT_KEY or not key else key_slot(key)


def _encoded(word: bytes | str | int) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def key_in(slots: range, prefix: bytes) -> bytes:
    """A key whose slot is one of these."""
    return next(key for number in count() if key_slot(key := prefix + b"%d" % number) in slots)


def read_owners(reply: list[Any], asked: Node) -> Mapping[Node, list[range]]:
    """The masters and their slots out of CLUSTER SLOTS. A node that does not know its own address leaves it out."""
    owners: dict[Node, list[range]] = {}
    for first, last, (host, port, *_), *_ in reply:
        name = (host or b"").decode()
        owners.setdefault((name if name not in ("", "?") else asked[0], port), []).append(range(first, last + 1))
    return owners


def read_node(text: str) -> Node:
    """The address in a redirection, such as 127.0.0.1:6381."""
    host, _, port = text.rpartition(":")
    return host, int(port)
