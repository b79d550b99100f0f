"""A private Redis Cluster of three nodes without replicas. Tests kill its nodes and move its slots."""

import subprocess
from contextlib import ExitStack
from typing import Self

from redis.crc import key_slot

from tests.ports import free_port
from tests.redis_sentinels import until
from tests.redis_server import RedisServer


class RedisCluster:
    """`with RedisCluster() as cluster: ... cluster.url`. Each node has a third of the slots, in order."""

    def __init__(self, *options: str) -> None:
        self.nodes = [
            RedisServer(
                *("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "1000"),
                *("--repl-diskless-sync-delay", "0", *options),
            )
            for _ in range(3)
        ]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The REDIS_URL, with two of the nodes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
            create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
            subprocess.run(create, check=True, capture_output=True)
            until(lambda: all(self.is_well(node) for node in self.nodes))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def is_well(self, node: RedisServer) -> bool:
        """Return whether the node serves requests and knows the owner of every slot."""
        return {b"cluster_state:ok", b"cluster_slots_ok:16384"} <= set(node.command("CLUSTER", "INFO").split())

    def node_id(self, node: RedisServer) -> str:
        """Return the node's id in the cluster."""
        return str(node.command("CLUSTER", "MYID").decode())

    def begin_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Begin to migrate a slot. From now on, the source redirects requests for missing keys with ASK."""
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.node_id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.node_id(target))

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Migrate the keys of a slot."""
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, slot: int, target: RedisServer) -> None:
        """Assign the slot to the target on all nodes."""
        name = self.node_id(target)
        for node in (target, *(node for node in self.nodes if node is not target)):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", name)

    def give_away(self, source: RedisServer, target: RedisServer) -> None:
        """Migrate all slots of the source, with their keys, to the target."""
        name = ["--cluster-from", self.node_id(source), "--cluster-to", self.node_id(target)]
        how = ["--cluster-slots", "16384", "--cluster-yes", "--cluster-pipeline", "100"]
        reshard = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{target.port}", *name, *how]
        subprocess.run(reshard, check=True, capture_output=True)

    def key_of(self, node: RedisServer, prefix: str = "k") -> str:
        """Return a key that belongs to the node as long as no slot has moved."""
        place = self.nodes.index(node)
        keys = (f"{prefix}{n}" for n in range(1000))
        return next(key for key in keys if key_slot(key.encode()) * 3 // 16384 == place)
