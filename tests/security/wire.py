"""Raw bytes over a socket to the running service."""

import socket

from tests.running_service import RunningService

HOST = b"Host: localhost\r\n"
SECONDS = 20.0


def exchange(service: RunningService, *pieces: bytes) -> bytes:
    """Send the pieces and return everything received until the service closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(65_536):
                received += data
        except ConnectionError:
            pass
    return received


def statuses_of(received: bytes) -> list[int]:
    """Return the statuses of the responses in order."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def head_of(received: bytes) -> dict[str, str]:
    """Return the headers of the first response."""
    lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
