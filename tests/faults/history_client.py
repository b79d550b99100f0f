"""A client that reads and changes a few items, and records what it sees and when."""

import json
import random
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from math import inf
from typing import NamedTuple

from tests.faults.history import Change, History, Seen

CHANGES_OF_TEN = 3
# So that each worker is asked.
REQUESTS_PER_CONNECTION = 20


class Answer(NamedTuple):
    """With the times between which the request was under way."""

    began: float
    ended: float
    status: int
    version: int
    name: str | None


class HistoryClient(threading.Thread):
    """Goes on until `is_over`. `wrong` is what no client should ever see, `reads` how many answers it got."""

    def __init__(
        self, port: int, authorization: str, number: int, histories: dict[str, History], is_over: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.wrong: list[str] = []
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
                answer = self._change(item_id, known[item_id], f"{self._number}-{turn}")
            else:
                answer = self._read(item_id)
            known[item_id] = answer.version if answer else known[item_id]
            if turn % REQUESTS_PER_CONNECTION == 0:
                self._disconnect()
        self._disconnect()

    def _read(self, item_id: str) -> Answer | None:
        answer = self._ask("GET", f"/v1/items/{item_id}", {}, None)
        if answer is not None:
            self.reads += 1
            self._histories[item_id].seen.append(Seen(answer.began, answer.ended, answer.version, answer.name))
        return answer

    def _change(self, item_id: str, version: int, name: str) -> Answer | None:
        history, began = self._histories[item_id], time.monotonic()
        answer = self._ask("PATCH", f"/v1/items/{item_id}", {"If-Match": f'"{version}"'}, name)
        if answer is None:
            history.changes.append(Change(began, inf, version + 1, name))
        elif answer.status == 412:
            if answer.version == version:
                self.wrong.append(f"refused though it is version {version}: {answer}")
            history.seen.append(Seen(answer.began, answer.ended, answer.version, None))
        else:
            if (answer.version, answer.name) != (version + 1, name):
                self.wrong.append(f"asked for {name} after version {version}: {answer}")
            history.changes.append(Change(answer.began, answer.ended, answer.version, name))
        return answer

    def _ask(self, method: str, path: str, headers: dict[str, str], name: str | None) -> Answer | None:
        """None if nobody knows what became of it."""
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
            return Answer(began, ended, response.status, int(response.headers["ETag"].strip('"')), content.get("name"))
        if response.status != 503:
            self.wrong.append(f"{method} {path}: {response.status} {content}")
        return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None
