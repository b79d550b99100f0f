"""The master that Redis Sentinel names."""

from typing import Any

from core.redis.questions import ask_all
from core.redis.url import Address, Node

# How often the sentinels are asked while the master is used.
LOOK_AGAIN_SECONDS = 1.0


async def find_master(address: Address) -> Node:
    """Where the service's master is, by the sentinel that knows of its latest fail-over.

    All are asked at once: one that hangs, or was cut off from the rest, must not send us to an old master. Raises
    ConnectionError if none knows the service; TimeoutError, OSError or a RedisError if none can be asked.
    """
    service = address.service
    answers = await ask_all(
        ((node, address.sentinel_connection(node)) for node in address.nodes),
        [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service), ("SENTINEL", "MASTER", service)],
    )
    known = [(_read_epoch(about), where) for _, (where, about) in answers if isinstance(where, list)]
    if not known:
        raise ConnectionError(f"no sentinel knows a master by the name of {service}")
    host, port = max(known)[1]
    return host.decode(), int(port)


def _read_epoch(about: Any) -> int:
    """The number of the last fail-over, 0 if the sentinel does not tell."""
    if not isinstance(about, list):
        return 0
    return int(dict(zip(about[::2], about[1::2], strict=False)).get(b"config-epoch", 0))
