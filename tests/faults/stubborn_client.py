"""A client that does not give up: it repeats each request until it knows what became of it."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

PATIENCE_SECONDS = 90.0


class Answer(NamedTuple):
    """What came in the end, and whether a try before it may have had its effect."""

    status: int
    etag: str | None
    is_replay: bool
    body: dict[str, Any]
    was_repeated: bool


@dataclass
class Kept:
    """An item as it was acknowledged."""

    id: str
    version: int


class StubbornClient(threading.Thread):
    """Creates items, each with a key, and changes each a few times, each change on condition of the version before.

    A name tells the key and the version that it belongs to. `kept` is what was acknowledged, `wrong` what no client
    should ever see, `answers` how often each status came.
    """

    def __init__(self, port: int, authorization: str, number: int, *, changes: int = 4) -> None:
        super().__init__(daemon=True)
        self.kept: dict[str, Kept] = {}
        self.wrong: list[str] = []
        self.answers: Counter[str] = Counter()
        self.acknowledged = self.repeats = 0
        self._port, self._authorization, self._number, self._changes = port, authorization, number, changes
        self._connection: HTTPConnection | None = None
        self._is_over = threading.Event()

    def finish(self) -> None:
        """Ends the thread after the item that it is at."""
        self._is_over.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), "a client waits for ever"

    def run(self) -> None:
        turn = 0
        try:
            while not self._is_over.is_set():
                turn += 1
                self._use_item(f"{self._number}-{turn}")
        except Exception as error:  # the test has to hear of it
            self.wrong.append(repr(error))
        finally:
            self._disconnect()

    def _use_item(self, key: str) -> None:
        made = self._send("POST", "/v1/items/", f"{key}@1", {"Idempotency-Key": key})
        if made.status != 201 or (made.is_replay and not made.was_repeated):
            self.wrong.append(f"{key}: {made}")
            return
        self._acknowledge(key, Kept(made.body["id"], 1))
        for version in range(1, self._changes + 1):
            if not self._change(key, version):
                return

    def _change(self, key: str, version: int) -> bool:
        """Whether it is known to have succeeded."""
        path, expected = f"/v1/items/{self.kept[key].id}", f'"{version + 1}"'
        answer = self._send("PATCH", path, f"{key}@{version + 1}", {"If-Match": f'"{version}"'})
        is_made_before = answer.status == 412 and answer.was_repeated
        if answer.etag != expected or not (answer.status == 200 or is_made_before):
            self.wrong.append(f"{key}, version {version}: {answer}")
            return False
        self._acknowledge(key, Kept(self.kept[key].id, version + 1))
        return True

    def _acknowledge(self, key: str, kept: Kept) -> None:
        self.kept[key] = kept
        self.acknowledged += 1

    def _send(self, method: str, path: str, name: str, headers: dict[str, str]) -> Answer:
        body = json.dumps({"name": name})
        headers |= {"Authorization": self._authorization, "Content-Type": "application/json"}
        deadline, was_repeated = time.monotonic() + PATIENCE_SECONDS, False
        while time.monotonic() < deadline:
            try:
                answer = self._try(method, path, body, headers, was_repeated)
            except (OSError, HTTPException) as error:
                self.answers["refused" if isinstance(error, ConnectionRefusedError) else "broken"] += 1
                self._disconnect()
            else:
                self.answers[str(answer.status)] += 1
                if answer.status not in (409, 503):
                    return answer
            self.repeats += 1
            was_repeated = True
            time.sleep(0.02)
        raise TimeoutError(f"{method} {path} was never answered")

    def _try(self, method: str, path: str, body: str, headers: dict[str, str], was_repeated: bool) -> Answer:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = json.loads(response.read() or b"{}")
        if response.status in (409, 503) and response.headers["Retry-After"] is None:
            self.wrong.append(f"{response.status} without Retry-After")
        is_replay = response.headers["Idempotent-Replayed"] == "true"
        return Answer(response.status, response.headers["ETag"], is_replay, content, was_repeated)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
