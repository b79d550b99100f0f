"""`make soak`: mixed load for minutes or hours, and faults at random.

In the first half processes are killed and restarted as well; in the second they live on, so that leaks show. It ends
with 1 if anything acknowledged is lost, the error budget is spent, or memory, threads, descriptors or connections
have grown.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.faults.kept import check_everything_is_there, start_stubborn_clients
from tests.faults.stack import Stack
from tests.faults.stubborn_client import StubbornClient
from tests.soak import clients
from tests.soak.clients import OrdinaryClient
from tests.soak.measurements import Measurements, connections, descriptors
from tests.waiting import comes_true

# Of all requests of ordinary clients. While nobody listens (the whole service is started again) they are none.
BUDGET = {"503": 0.01, "broken": 0.01}
FINE = {"200", "201", "204", "304", "409", "412", "refused"}
PROGRESS_SECONDS, PAUSE_SECONDS = 10, 3.0
SETTINGS = {"BODY_TIMEOUT_SECONDS": "2", "PASSWORD_HASHING_QUEUE": "16", "CACHE_TTL": "5"}


class Soak:
    """One run."""

    def __init__(self, stack: Stack, seconds: float, chance: random.Random) -> None:
        self.stack, self.seconds, self.chance = stack, seconds, chance
        self.measurements = Measurements(stack)
        self.faults: Counter[str] = Counter()
        self.ordinary = self._ordinary_clients()
        self.stubborn: list[StubbornClient] = start_stubborn_clients(stack, 3)
        self._shown_at = 0.0

    def _ordinary_clients(self) -> list[OrdinaryClient]:
        port = self.stack.service.port
        with closing(self.stack.service.user()) as me:
            token = str(me.headers["Authorization"]).removeprefix("Bearer ")
            paths = [me.post("/v1/items/", json={"name": "read"}).headers["Location"] for _ in range(50)]
        work = [clients.reading(token, paths)] * 3 + [clients.coming_and_going]
        return [OrdinaryClient(port, one) for one in work]

    def run(self) -> list[str]:
        """What is wrong in the end."""
        for reader in self.ordinary:
            reader.start()
        began = time.monotonic()
        self._disturb(began + self.seconds / 2, [*self._gentle(), *self._deadly()])
        print("No more kills: from here on processes live on")
        for warm_up in self._gentle():  # the most that each takes is taken once, such as the memory of all hashes
            warm_up()
        settled = time.monotonic()
        self._disturb(began + self.seconds, self._gentle())
        growth = self.measurements.growth(settled)
        for client in self._everybody():
            client.finish()
        return [*growth, *self._faults_of_rest(), *self._faults_of_answers(), *self._faults_of_data()]

    def _gentle(self) -> list[Callable[[], None]]:
        port = self.stack.service.port

        def flood_of_log_ins() -> None:
            clients.flood_of_log_ins(port)

        def slow_clients() -> None:
            clients.slow_clients(port)

        def disconnects() -> None:
            clients.disconnects(port)

        gentle = [self.stack.hang_redis, self.stack.kill_redis, self.stack.flush_redis]
        return [*gentle, flood_of_log_ins, slow_clients, disconnects]

    def _deadly(self) -> list[Callable[[], None]]:
        is_postgres = self.stack.postgres is not None
        return [self.stack.kill_worker] * 3 + [self.stack.restart] + [self.stack.kill_database] * is_postgres

    def _disturb(self, until: float, faults: list[Callable[[], None]]) -> None:
        while time.monotonic() < until:
            fault = self.chance.choice(faults)
            self.faults[fault.__name__] += 1
            done = threading.Thread(target=fault)
            done.start()
            pause = time.monotonic() + self.chance.random() * PAUSE_SECONDS
            while done.is_alive() or time.monotonic() < pause:
                time.sleep(0.5)
                if self.stack.service.process is not None:
                    self.measurements.take()
                self._show_progress(until)

    def _show_progress(self, until: float) -> None:
        now = time.monotonic()
        if now - self._shown_at > PROGRESS_SECONDS:
            self._shown_at = now
            answers = dict(sorted(self.answers().items()))
            print(f"{until - now:5.0f} s left in this half; {self.measurements.now()}; {answers}", flush=True)

    def answers(self) -> Counter[str]:
        """Of all ordinary and stubborn clients."""
        return sum((client.answers for client in self._everybody()), Counter())

    def _everybody(self) -> list[OrdinaryClient | StubbornClient]:
        return [*self.ordinary, *self.stubborn]

    def _faults_of_rest(self) -> list[str]:
        """When everybody has left, so have their connections."""
        found: list[str] = []

        def is_at_rest() -> bool:
            found[:] = [
                *(
                    f"process {pid} has {count} descriptors"
                    for pid, count in descriptors(self.stack).items()
                    if count > 60
                ),
                *(f"{count} connections to {name}" for name, count in connections(self.stack).items() if count > 30),
            ]
            return not found

        if not comes_true(is_at_rest, 20):
            return found
        print(f"  at rest: descriptors {descriptors(self.stack)}, connections {connections(self.stack)}")
        return []

    def _faults_of_answers(self) -> list[str]:
        answers = self.answers()
        total = answers.total() - answers["refused"]
        print(f"  {total} answers: {dict(sorted(answers.items()))}; faults: {dict(self.faults)}")
        print(f"  the longest took {max(client.longest_seconds for client in self.ordinary):.1f} s")
        found = [f"{count} times {status}" for status, count in answers.items() if status not in FINE | BUDGET.keys()]
        for status, share in BUDGET.items():
            print(f"  {status}: {answers[status] / total:.3%} of {share:.0%} allowed")
            if answers[status] > share * total:
                found.append(f"{answers[status]} of {total} answers are {status}")
        return found

    def _faults_of_data(self) -> list[str]:
        try:
            check_everything_is_there(self.stack, self.stubborn)
        except AssertionError as error:
            return [f"data: {error}"]
        print(f"  {sum(client.acknowledged for client in self.stubborn)} changes were acknowledged, and all are there")
        return []


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="how long (3)")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order of the faults")
    given = parser.parse_args()
    print(f"{given.minutes:g} minutes on {given.database}, seed {given.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Stack(Path(folder), is_postgres=given.database == "postgres", settings=SETTINGS) as stack,
    ):
        wrong = Soak(stack, given.minutes * 60, random.Random(given.seed)).run()
        log = stack.service.log_lines()
    errors = Counter(line["message"] for line in log if line["level"] in ("ERROR", "CRITICAL"))
    wrong += [f"logged {count} times: {message}" for message, count in errors.items() if message == "Unexpected error"]
    if wrong:
        sys.exit("\n".join(["Not good:", *wrong]))
    print("All is well")


if __name__ == "__main__":
    main()
