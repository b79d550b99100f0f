"""A client that retries each request until it knows the outcome."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

PATIENCE_SECONDS = 90.0


class Result(NamedTuple):
    """The final response, and whether an earlier attempt may have had its effect."""

    status: int
    etag: str | None
    is_replay: bool
    body: dict[str, Any]
    was_retried: bool


@dataclass
class AcknowledgedItem:
    """An item as the service acknowledged it."""

    id: str
    version: int


class RetryingClient(threading.Thread):
    """Creates items with idempotency keys, and changes each item a few times under If-Match.

    An item's name consists of its key and its version. `acknowledged_items` has the last acknowledged version of each
    item, `unexpected` lists contract violations, and `statuses` counts the responses by status.
    """

    def __init__(self, port: int, authorization: str, number: int, *, changes: int = 4) -> None:
        super().__init__(daemon=True)
        self.acknowledged_items: dict[str, AcknowledgedItem] = {}
        self.unexpected: list[str] = []
        self.statuses: Counter[str] = Counter()
        self.acknowledged_changes = self.retries = 0
        self._port, self._authorization, self._number, self._changes = port, authorization, number, changes
        self._connection: HTTPConnection | None = None
        self._is_over = threading.Event()

    def finish(self) -> None:
        """End the thread after its current item."""
        self._is_over.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), "a client does not end"

    def run(self) -> None:
        turn = 0
        try:
            while not self._is_over.is_set():
                turn += 1
                self._use_item(f"{self._number}-{turn}")
        except Exception as error:  # the test reports it
            self.unexpected.append(repr(error))
        finally:
            self._disconnect()

    def _use_item(self, key: str) -> None:
        result = self._send("POST", "/v1/items/", f"{key}@1", {"Idempotency-Key": key})
        if result.status != 201 or (result.is_replay and not result.was_retried):
            self.unexpected.append(f"{key}: {result}")
            return
        self._acknowledge(key, AcknowledgedItem(result.body["id"], 1))
        for version in range(1, self._changes + 1):
            if not self._change(key, version):
                return

    def _change(self, key: str, version: int) -> bool:
        """Return whether the change is known to have succeeded."""
        path, expected = f"/v1/items/{self.acknowledged_items[key].id}", f'"{version + 1}"'
        result = self._send("PATCH", path, f"{key}@{version + 1}", {"If-Match": f'"{version}"'})
        was_applied_before = result.status == 412 and result.was_retried
        if result.etag != expected or not (result.status == 200 or was_applied_before):
            self.unexpected.append(f"{key}, version {version}: {result}")
            return False
        self._acknowledge(key, AcknowledgedItem(self.acknowledged_items[key].id, version + 1))
        return True

    def _acknowledge(self, key: str, item: AcknowledgedItem) -> None:
        self.acknowledged_items[key] = item
        self.acknowledged_changes += 1

    def _send(self, method: str, path: str, name: str, headers: dict[str, str]) -> Result:
        body = json.dumps({"name": name})
        headers |= {"Authorization": self._authorization, "Content-Type": "application/json"}
        deadline, was_retried = time.monotonic() + PATIENCE_SECONDS, False
        while time.monotonic() < deadline:
            try:
                result = self._attempt(method, path, body, headers, was_retried)
            except (OSError, HTTPException) as error:
                self.statuses["refused" if isinstance(error, ConnectionRefusedError) else "broken"] += 1
                self._disconnect()
            else:
                self.statuses[str(result.status)] += 1
                if result.status not in (409, 503):
                    return result
            self.retries += 1
            was_retried = True
            time.sleep(0.02)
        raise TimeoutError(f"{method} {path} got no final response")

    def _attempt(self, method: str, path: str, body: str, headers: dict[str, str], was_retried: bool) -> Result:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = json.loads(response.read() or b"{}")
        if response.status in (409, 503) and response.headers["Retry-After"] is None:
            self.unexpected.append(f"{response.status} without Retry-After")
        is_replay = response.headers["Idempotent-Replayed"] == "true"
        return Result(response.status, response.headers["ETag"], is_replay, content, was_retried)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
