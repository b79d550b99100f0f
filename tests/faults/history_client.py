"""A client that reads and changes a few items, and records what it observed and when."""

import json
import random
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from math import inf
from typing import NamedTuple

from tests.faults.history import Change, History, Observation

CHANGES_OF_TEN = 3
# so that each worker gets requests
REQUESTS_PER_CONNECTION = 20


class Result(NamedTuple):
    """A response with the times at which its request began and ended."""

    began: float
    ended: float
    status: int
    version: int
    name: str | None


class HistoryClient(threading.Thread):
    """Runs until `is_over` is set. `unexpected` lists contract violations, `reads` counts successful reads."""

    def __init__(
        self, port: int, authorization: str, number: int, histories: dict[str, History], is_over: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.unexpected: list[str] = []
        self.reads = 0
        self._port, self._headers, self._number = port, {"Authorization": authorization}, number
        self._histories, self._is_over = histories, is_over
        self._chance = random.Random(number)
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        known = dict.fromkeys(self._histories, 1)
        turn = 0
        while not self._is_over.is_set():
            turn += 1
            item_id = self._chance.choice(list(known))
            if self._chance.randrange(10) < CHANGES_OF_TEN:
                result = self._change(item_id, known[item_id], f"{self._number}-{turn}")
            else:
                result = self._read(item_id)
            known[item_id] = result.version if result else known[item_id]
            if turn % REQUESTS_PER_CONNECTION == 0:
                self._disconnect()
        self._disconnect()

    def _read(self, item_id: str) -> Result | None:
        result = self._send("GET", f"/v1/items/{item_id}", {}, None)
        if result is not None:
            self.reads += 1
            observation = Observation(result.began, result.ended, result.version, result.name)
            self._histories[item_id].observations.append(observation)
        return result

    def _change(self, item_id: str, version: int, name: str) -> Result | None:
        history, began = self._histories[item_id], time.monotonic()
        result = self._send("PATCH", f"/v1/items/{item_id}", {"If-Match": f'"{version}"'}, name)
        if result is None:
            history.changes.append(Change(began, inf, version + 1, name))
        elif result.status == 412:
            if result.version == version:
                self.unexpected.append(f"If-Match of the current version {version} failed: {result}")
            history.observations.append(Observation(result.began, result.ended, result.version, None))
        else:
            if (result.version, result.name) != (version + 1, name):
                self.unexpected.append(f"changed version {version} to {name}, but: {result}")
            history.changes.append(Change(result.began, result.ended, result.version, name))
        return result

    def _send(self, method: str, path: str, headers: dict[str, str], name: str | None) -> Result | None:
        """Send a request. Return None if its outcome is unknown."""
        began = time.monotonic()
        body = None if name is None else json.dumps({"name": name})
        try:
            self._connection = self._connection or HTTPConnection("127.0.0.1", self._port, timeout=30)
            sent = headers | self._headers | {"Content-Type": "application/json"}
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
            content = json.loads(response.read())
        except (OSError, HTTPException):
            self._disconnect()
            time.sleep(0.02)
            return None
        ended = time.monotonic()
        if response.status in (200, 412):
            return Result(began, ended, response.status, int(response.headers["ETag"].strip('"')), content.get("name"))
        if response.status != 503:
            self.unexpected.append(f"{method} {path}: {response.status} {content}")
        return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None
