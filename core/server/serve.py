"""Starting the HTTP server, for `manage.py serve`."""

import errno
import socket

import uvicorn

from core.telemetry import multiprocess

APPLICATION = "agent_router.asgi:application"
CONNECTION = "core.server.connection:BoundedProtocol"


class CannotListenError(Exception):
    """The service cannot listen on a host and port; the message tells why and what to do."""


def serve(host: str, port: int, workers: int) -> None:
    """Serve HTTP until a signal stops the service. Raise CannotListenError if the address is not usable."""
    check_address(host, port)
    if workers == 1:
        _run(host, port, workers)
    else:
        with multiprocess.shared_directory(f"{host}-{port}"):
            _run(host, port, workers)


def check_address(host: str, port: int) -> None:
    """Raise CannotListenError if the service could not listen there."""
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


def _run(host: str, port: int, workers: int) -> None:
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
