"""Clients that create, change, read and list items continuously, and record the acknowledged changes."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from tests.running_service import RunningService


@dataclass
class Load:
    """Use as `with Load(service) as load: …`, then read its records."""

    service: RunningService
    clients: int = 8
    # The end of each request (time.monotonic()) and its status; 0 if the connection broke.
    answers: list[tuple[float, int]] = field(default_factory=list)
    refusals: list[httpx.Response] = field(default_factory=list)
    # Names of the items that were sent; ids and last versions of the acknowledged items.
    sent: list[str] = field(default_factory=list)
    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._is_over = threading.Event()
        first = self.service.user()
        self.user = first
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self.user.close()

    def wait_for_answers(self, count: int) -> None:
        """Wait for this many more responses."""
        goal, deadline = len(self.answers) + count, time.monotonic() + 60
        while len(self.answers) < goal:
            assert time.monotonic() < deadline, Counter(status for _, status in self.answers)
            time.sleep(0.01)

    def statuses(self, since: float = 0) -> Counter[int]:
        """Count the responses by status."""
        return Counter(status for moment, status in self.answers if moment >= since)

    def check_nothing_is_lost_or_doubled(self) -> None:
        """Check that every acknowledged item is stored as acknowledged, and that no item is stored twice."""
        rows = self.service.query("SELECT id, name, version FROM item")
        times_stored = Counter(name for _, name, _ in rows)
        assert set(times_stored.values()) <= {1}
        versions = {str(item_id): version for item_id, _, version in rows}
        lost = {name: item for name, item in self.acknowledged.items() if versions.get(item[0], 0) < item[1]}
        assert not lost
        assert set(times_stored) <= set(self.sent)

    def _run(self, number: int) -> None:
        with self.service.client(headers=self.user.headers) as client:
            turn = 0
            while not self._is_over.is_set():
                turn += 1
                self._create_and_use(client, f"{number}-{turn}")

    def _create_and_use(self, client: httpx.Client, name: str) -> None:
        self.sent.append(name)
        made = self._send(client, "POST", "/v1/items/", json={"name": name})
        if made is None or made.status_code != 201:
            return
        item_id = made.json()["id"]
        self.acknowledged[name] = (item_id, 1)
        changed = self._send(client, "PATCH", f"/v1/items/{item_id}", json={"description": "changed"})
        if changed is not None and changed.status_code == 200:
            self.acknowledged[name] = (item_id, 2)
        self._send(client, "GET", f"/v1/items/{item_id}")
        self._send(client, "GET", "/v1/items/?limit=5")

    def _send(self, client: httpx.Client, method: str, path: str, **options: object) -> httpx.Response | None:
        answer: httpx.Response | None = None
        try:
            answer = client.request(method, path, **options)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.answers.append((time.monotonic(), 0))
            # Pause after an error, which leaves the CPU to the server that starts.
            self._is_over.wait(0.05)
        else:
            self.answers.append((time.monotonic(), answer.status_code))
            if answer.status_code >= 500:
                self.refusals.append(answer)
        return answer
