"""Ports for the servers that tests start."""

import itertools
import os
import random
import socket

# Below those that the system gives to outgoing connections, one of which could take a port between its choice and its
# use, and each worker of pytest-xdist has a part of its own. Within it, others who run tests here begin elsewhere.
_FIRST, _EACH, _WORKERS = 10_000, 1_000, 20
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_places = itertools.count(random.SystemRandom().randrange(_EACH))


def free_port() -> int:
    """A port of the loopback interface that nobody uses, and that nobody was given for a long time.

    Raises:
        RuntimeError: every one is in use.
    """
    for place in itertools.islice(_places, _EACH):
        port = _FIRST + _worker * _EACH + place % _EACH
        with socket.socket() as probe:
            # As servers do: a port whose connections are only being remembered is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
