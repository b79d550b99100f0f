"""Clients of a soak: readers, users whose accounts come and go, and attackers."""

import json
import random
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.running_service import PASSWORD

JSON = {"Content-Type": "application/json"}


class OrdinaryClient(threading.Thread):
    """Repeats its work until `finish`. `statuses` counts the responses by status, and the broken connections."""

    def __init__(self, port: int, work: Callable[["OrdinaryClient"], None]) -> None:
        super().__init__(daemon=True)
        self.statuses: Counter[str] = Counter()
        self.longest_seconds = 0.0
        self._port, self._work = port, work
        self._is_over = threading.Event()
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        while not self._is_over.is_set():
            self._work(self)
        self.disconnect()

    def finish(self) -> None:
        """End the thread after its current work."""
        self._is_over.set()
        self.join()

    def send(self, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
        """Return the status and the content. The status is 0 if the connection broke."""
        began = time.monotonic()
        headers = JSON | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            self._connection = self._connection or HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            # The connection is refused while the service restarts.
            self.statuses["refused" if isinstance(error, ConnectionRefusedError) else "broken"] += 1
            self.disconnect()
            time.sleep(0.05)
            return 0, None
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        is_clear = response.status != 503 or response.headers["Retry-After"]
        self.statuses[str(response.status) if is_clear else "503 without Retry-After"] += 1
        if response.status == 503:
            time.sleep(0.05)
        is_json = "json" in (response.headers["Content-Type"] or "")
        return response.status, json.loads(content) if is_json else content

    def disconnect(self) -> None:
        """Close the connection, so that any worker may accept the next request."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def reader(token: str, paths: list[str]) -> Callable[[OrdinaryClient], None]:
    """Return work that reads items and lists, and sometimes changes an item or reads a page for operators."""

    def work(client: OrdinaryClient) -> None:
        for _ in range(20):
            client.send("GET", random.choice(paths), token)
        client.send("GET", "/v1/items/?limit=20&sort=-updated_at", token)
        client.send("PATCH", random.choice(paths), token, {"metadata": {"seen": time.time()}})
        client.send("GET", random.choice(["/health/live", "/metrics", "/openapi.json"]))
        client.disconnect()

    return work


def use_new_account(client: OrdinaryClient) -> None:
    """Register, log in, refresh and delete the account."""
    account = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
    if client.send("POST", "/v1/auth/register", body=account)[0] != 201:
        return
    status, tokens = client.send("POST", "/v1/auth/login", body=account)
    if status == 200:
        given = {"refresh_token": tokens["refresh_token"]}
        status, tokens = client.send("POST", "/v1/auth/refresh", body=given)
    if status == 200:
        client.send("GET", "/v1/auth/me", tokens["access_token"])
        client.send("DELETE", "/v1/auth/me", tokens["access_token"])
    client.disconnect()


def send_all(port: int, data: bytes, count: int, *, seconds: float, reads: bool) -> None:
    """Send data over many connections, read responses or wait for some seconds, and disconnect."""
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            with suppress(OSError):
                one = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=10)))
                one.sendall(data)
                connections.append(one)
        for one in connections if reads else ():
            with suppress(OSError):
                one.recv(65536)
        time.sleep(seconds)


def flood_of_logins(port: int) -> None:
    """Send more concurrent logins than the queue holds."""
    body = json.dumps({"email": f"{secrets.token_hex(8)}@example.org", "password": "wrong"}).encode()
    head = b"POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    send_all(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body, 100, seconds=0, reads=True)


def slow_clients(port: int) -> None:
    """Send request heads and bodies that never end."""
    head = b"POST /v1/items/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    send_all(port, head, 50, seconds=0, reads=False)
    send_all(port, head + b"\r\n{", 50, seconds=3, reads=False)


def disconnects(port: int) -> None:
    """Disconnect before the service responds."""
    for _ in range(5):
        send_all(port, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, 20, seconds=0, reads=False)
