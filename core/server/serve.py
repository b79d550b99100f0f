"""Starting the HTTP server, for `manage.py serve`."""

import errno
import socket
from contextlib import nullcontext

import uvicorn

from core.telemetry import multiprocess

APPLICATION = "agent_router.asgi:application"
CONNECTION = "core.server.connection:BoundedProtocol"


class CannotListenError(Exception):
    """The service cannot listen on a host and port. The message names the cause and the remedy."""


def serve(host: str, port: int, workers: int) -> None:
    """Serve HTTP until a signal stops the service. Raises CannotListenError."""
    check_address(host, port)
    metrics_directory = multiprocess.shared_directory(f"{host}-{port}") if workers > 1 else nullcontext()
    with metrics_directory:
        uvicorn.run(
            APPLICATION,
            host=host,
            port=port,
            workers=workers,
            http=CONNECTION,
            # The service itself writes the access log, reads forwarded addresses and sets headers.
            access_log=False,
            proxy_headers=False,
            server_header=False,
            # settings.LOGGING holds for this process already, and each worker loads the settings again.
            log_config=None,
        )


def check_address(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8001
            reason = f"Port {port} on {host} is taken. Stop the process that listens there, or set PORT={other}"
        elif error.errno == errno.EACCES:
            reason = f"Port {port} is reserved for root: set PORT to 1024 or more, such as PORT=8000"
        else:
            reason = f"Cannot listen on HOST={host} PORT={port}: {error.strerror or error}"
        raise CannotListenError(reason) from error
