"""The slot of a command, and the owner of a slot."""

import pytest
from redis.crc import key_slot

from core.ratelimit.buckets import LimitPlan, make_buckets
from core.ratelimit.rates import Rate
from core.redis.pipeline import Command
from core.redis.slots import key_in, read_node, read_owners, slot_of


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), b"k"),
        ((b"set", b"{tag}:k", 1), b"tag"),
        (("INCR", 7), b"7"),
        (("EVALSHA", "0" * 40, 2, "a{t}", "b{t}", "argument"), b"t"),
        ((b"EVALSHA", b"0" * 40, 0, "argument"), None),
        (("EVAL", "return 1", "1", "k"), b"k"),
        (("PING",), None),
        (("INFO", "server"), None),
        (("SCRIPT", "LOAD", "return 1"), None),
        (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"k"),
        (b"*1\r\n$4\r\nPING\r\n", None),
        (b"*4\r\n$7\r\nEVALSHA\r\n$1\r\nx\r\n$1\r\n0\r\n$1\r\na\r\n", None),
    ],
)
def test_slot_is_computed_from_the_first_key(command: Command, key: bytes | None) -> None:
    assert slot_of(command) == (None if key is None else key_slot(key))


def test_limits_of_one_caller_share_a_slot() -> None:
    buckets = make_buckets("default", [Rate(5, 60), Rate(50, 3600)]) + make_buckets("POST /v1/items", [Rate(1, 1)])
    assert slot_of(LimitPlan(buckets, script_sha=b"0" * 40).pack(b"somebody")) == key_slot(b"somebody")


@pytest.mark.parametrize("slots", [range(16384), range(5000, 6000), range(16383, 16384)])
def test_probe_key_is_in_the_nodes_own_slots(slots: range) -> None:
    assert slot_of(("SET", key_in(slots, b"ar:probe:"), 1)) in slots


def test_owners_are_read_even_without_their_own_address() -> None:
    reply = [
        [0, 5, [b"10.0.0.1", 7000, b"id"], [b"10.0.0.9", 7009, b"replica"]],
        [6, 9, [b"", 7001, b"id", [b"hostname", b"x"]]],
        [10, 19, [None, 7002, b"id"]],
        [20, 29, [b"10.0.0.1", 7000, b"id"]],
    ]
    assert read_owners(reply, ("asked", 1)) == {
        ("10.0.0.1", 7000): [range(6), range(20, 30)],
        ("asked", 7001): [range(6, 10)],
        ("asked", 7002): [range(10, 20)],
    }
    assert [read_node(text) for text in ("10.0.0.1:7", "::1:7", ":7")] == [("10.0.0.1", 7), ("::1", 7), ("", 7)]
