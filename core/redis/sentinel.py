"""The master that Redis Sentinel names."""

from typing import Any

from core.redis.discovery import query_all
from core.redis.url import Address, Node

# How often the sentinels are queried while the master is up.
MASTER_CHECK_SECONDS = 1.0


async def find_master(address: Address) -> Node:
    """Return the address of the service's master, from the sentinel that knows the latest failover.

    All sentinels are queried at once: a partitioned sentinel may still name an old master. Raises ConnectionError if
    no sentinel knows the service; TimeoutError, OSError or a RedisError if no sentinel answers.
    """
    service = address.service
    replies = await query_all(
        ((node, address.sentinel_connection(node)) for node in address.nodes),
        [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service), ("SENTINEL", "MASTER", service)],
    )
    masters = [(_failover_epoch(details), master) for _, (master, details) in replies if isinstance(master, list)]
    if not masters:
        raise ConnectionError(f"no sentinel knows a master by the name of {service}")
    _, (host, port) = max(masters)
    return host.decode(), int(port)


def _failover_epoch(details: Any) -> int:
    """Return the number of the last failover, 0 if the sentinel does not report one."""
    if not isinstance(details, list):
        return 0
    return int(dict(zip(details[::2], details[1::2], strict=False)).get(b"config-epoch", 0))
