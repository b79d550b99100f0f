"""Free ports for servers that tests start."""

import itertools
import os
import random
import socket

# These ports are below the system's ephemeral range, so no outgoing connection takes one before the server does.
# Each worker of pytest-xdist has its own range. It begins at a random port, for other test runs on this machine.
_FIRST, _EACH, _WORKERS = 10_000, 1_000, 20
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_places = itertools.count(random.SystemRandom().randrange(_EACH))


def free_port() -> int:
    """Return a port of the loopback interface that is free and was not returned recently.

    Raises:
        RuntimeError: all ports of this worker are in use.
    """
    for place in itertools.islice(_places, _EACH):
        port = _FIRST + _worker * _EACH + place % _EACH
        with socket.socket() as probe:
            # Servers set this option too: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
