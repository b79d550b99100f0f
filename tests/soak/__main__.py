"""Run mixed load with random faults for minutes or hours: `make soak`.

In the first half, processes are killed and restarted too. In the second half they stay alive, so that leaks show. The
exit code is 1 if an acknowledged change is lost, the error budget is exceeded, or memory, threads, descriptors or
connections have grown.
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

from tests.faults.acknowledged import check_acknowledged_changes, start_retrying_clients
from tests.faults.retrying_client import RetryingClient
from tests.faults.stack import Stack
from tests.soak import clients
from tests.soak.clients import OrdinaryClient
from tests.soak.measurements import Measurements, connections, descriptors
from tests.waiting import comes_true

# Shares of all requests of ordinary clients. Requests refused during a restart are not counted.
BUDGET = {"503": 0.01, "broken": 0.01}
EXPECTED = {"200", "201", "204", "304", "409", "412", "refused"}
PROGRESS_SECONDS, PAUSE_SECONDS = 10, 3.0
SETTINGS = {"BODY_TIMEOUT_SECONDS": "2", "PASSWORD_HASHING_QUEUE": "16", "CACHE_TTL": "5"}


class Soak:
    """One run of the soak."""

    def __init__(self, stack: Stack, seconds: float, chance: random.Random) -> None:
        self.stack, self.seconds, self.chance = stack, seconds, chance
        self.measurements = Measurements(stack)
        self.faults: Counter[str] = Counter()
        self.ordinary = self._ordinary_clients()
        self.retrying: list[RetryingClient] = start_retrying_clients(stack, 3)
        self._shown_at = 0.0

    def _ordinary_clients(self) -> list[OrdinaryClient]:
        port = self.stack.service.port
        with closing(self.stack.service.user()) as me:
            token = str(me.headers["Authorization"]).removeprefix("Bearer ")
            paths = [me.post("/v1/items/", json={"name": "read"}).headers["Location"] for _ in range(50)]
        work = [clients.reader(token, paths)] * 3 + [clients.use_new_account]
        return [OrdinaryClient(port, one) for one in work]

    def run(self) -> list[str]:
        """Run the soak and return the problems found."""
        for reader in self.ordinary:
            reader.start()
        began = time.monotonic()
        self._inject_faults(began + self.seconds / 2, [*self._faults_without_kills(), *self._kills()])
        print("No more kills: processes stay alive from here on")
        for warm_up in self._faults_without_kills():
            warm_up()
        settled = time.monotonic()
        self._inject_faults(began + self.seconds, self._faults_without_kills())
        growth = self.measurements.growth(settled)
        for client in self._all_clients():
            client.finish()
        return [*growth, *self._remaining_connections(), *self._unexpected_statuses(), *self._lost_changes()]

    def _faults_without_kills(self) -> list[Callable[[], None]]:
        port = self.stack.service.port

        def flood_of_logins() -> None:
            clients.flood_of_logins(port)

        def slow_clients() -> None:
            clients.slow_clients(port)

        def disconnects() -> None:
            clients.disconnects(port)

        redis_faults = [self.stack.hang_redis, self.stack.kill_redis, self.stack.flush_redis]
        return [*redis_faults, flood_of_logins, slow_clients, disconnects]

    def _kills(self) -> list[Callable[[], None]]:
        is_postgres = self.stack.postgres is not None
        return [self.stack.kill_worker] * 3 + [self.stack.restart] + [self.stack.kill_database] * is_postgres

    def _inject_faults(self, until: float, faults: list[Callable[[], None]]) -> None:
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
            statuses = dict(sorted(self.statuses().items()))
            print(f"{until - now:5.0f} s left in this half; {self.measurements.now()}; {statuses}", flush=True)

    def statuses(self) -> Counter[str]:
        """Return the statuses of all clients."""
        return sum((client.statuses for client in self._all_clients()), Counter())

    def _all_clients(self) -> list[OrdinaryClient | RetryingClient]:
        return [*self.ordinary, *self.retrying]

    def _remaining_connections(self) -> list[str]:
        """Return descriptors and connections that remain after all clients have disconnected."""
        found: list[str] = []

        def is_idle() -> bool:
            found[:] = [
                *(
                    f"process {pid} has {count} descriptors"
                    for pid, count in descriptors(self.stack).items()
                    if count > 60
                ),
                *(f"{count} connections to {name}" for name, count in connections(self.stack).items() if count > 30),
            ]
            return not found

        if not comes_true(is_idle, 20):
            return found
        print(f"  at rest: descriptors {descriptors(self.stack)}, connections {connections(self.stack)}")
        return []

    def _unexpected_statuses(self) -> list[str]:
        statuses = self.statuses()
        total = statuses.total() - statuses["refused"]
        print(f"  {total} responses: {dict(sorted(statuses.items()))}; faults: {dict(self.faults)}")
        print(f"  the longest request took {max(client.longest_seconds for client in self.ordinary):.1f} s")
        found = [
            f"{count} times {status}" for status, count in statuses.items() if status not in EXPECTED | BUDGET.keys()
        ]
        for status, share in BUDGET.items():
            print(f"  {status}: {statuses[status] / total:.3%} (allowed: {share:.0%})")
            if statuses[status] > share * total:
                found.append(f"{statuses[status]} of {total} responses are {status}")
        return found

    def _lost_changes(self) -> list[str]:
        try:
            check_acknowledged_changes(self.stack, self.retrying)
        except AssertionError as error:
            return [f"data: {error}"]
        count = sum(client.acknowledged_changes for client in self.retrying)
        print(f"  {count} changes were acknowledged, and all are stored")
        return []


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="duration in minutes (default: 3)")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="seed of the order of the faults (default: random)"
    )
    options = parser.parse_args()
    print(f"{options.minutes:g} minutes on {options.database}, seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Stack(Path(folder), is_postgres=options.database == "postgres", settings=SETTINGS) as stack,
    ):
        problems = Soak(stack, options.minutes * 60, random.Random(options.seed)).run()
        log = stack.service.log_lines()
    errors = Counter(line["message"] for line in log if line["level"] in ("ERROR", "CRITICAL"))
    problems += [
        f"logged {count} times: {message}" for message, count in errors.items() if message == "Unexpected error"
    ]
    if problems:
        sys.exit("\n".join(["FAILED:", *problems]))
    print("PASSED")


if __name__ == "__main__":
    main()
