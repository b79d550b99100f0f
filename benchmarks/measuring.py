"""Measure scenarios in rounds, on a service with items in its database."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import processes
from benchmarks.load import Generator, Outcome
from benchmarks.results import Run
from benchmarks.scenarios import ITEM, SCENARIOS, Target, write_requests
from benchmarks.service import Service
from benchmarks.surroundings import private_database, private_redis
from benchmarks.yardstick import Yardstick

# The number of items that are requested by id. All of them are cached beforehand.
HOT_ITEMS = 1000
SEEDING_CONNECTIONS = 16


@dataclass(frozen=True)
class Plan:
    """The parameters of a run. Without `dsn` or `redis_url`, the bench starts a private database or Redis."""

    scenarios: list[str]
    rounds: int
    seconds: float
    warmup_seconds: float
    connections: int
    items: int
    dsn: str = ""
    redis_url: str | None = None


class Bench:
    """A service with its database and Redis, as a context manager."""

    def __init__(self, plan: Plan, generator: Generator, folder: Path, core: int | None, **settings: str) -> None:
        self.settings = settings
        self.plan, self.generator, self.folder, self.core = plan, generator, folder, core
        self.redis_url, self._redis_pid = "", 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self.plan.redis_url is None:
                self.redis_url, self._redis_pid = stack.enter_context(private_redis(self.generator.core))
            else:
                self.redis_url = self.plan.redis_url
            dsn = stack.enter_context(private_database(self.folder, self.plan.dsn))
            self.service = Service(self.folder, dsn=dsn, redis_url=self.redis_url, core=self.core, **self.settings)
            stack.callback(self.service.stop)
            self.yardstick = Yardstick(self.folder, self.core)
            stack.callback(self.yardstick.stop)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def seed(self) -> None:
        """Create the tables, the user and the items."""
        self.service.migrate()
        self.service.start()
        target = Target(self.service.port, self.service.log_in(), [], [], "")
        requests = self.folder / "seed"
        write_requests(requests, [target.request("POST", "/v1/items/", ITEM)])
        outcome = self.generator.run(
            self.service.port, requests, connections=SEEDING_CONNECTIONS, seconds=120, limit=self.plan.items
        )
        if set(outcome.statuses) != {201}:
            raise RuntimeError(f"the items could not be created: {outcome.statuses}")
        self.service.stop()

    def round(self, order: list[str], report: Callable[[Run], None]) -> list[Run]:
        """Restart the service and measure each scenario once."""
        self.service.start()
        runs = []
        for scenario in order:
            runs.append(self.measure(scenario))
            report(runs[-1])
        self.service.stop()
        return runs

    def prepare(self, scenario: str) -> Path:
        """Write the requests of a scenario to a file, and return its path."""
        requests = self.folder / scenario
        write_requests(requests, SCENARIOS[scenario][0](self._target(scenario)))
        return requests

    def load(self, requests: Path, *, connections: int, seconds: float) -> Outcome:
        """Put load on the service."""
        return self.generator.run(self.service.port, requests, connections=connections, seconds=seconds)

    def measure(self, scenario: str) -> Run:
        """Measure one scenario after a warm-up."""
        requests, connections = self.prepare(scenario), self.plan.connections
        self.load(requests, connections=connections, seconds=self.plan.warmup_seconds)
        # The yardstick's own CPU time is not foreign load.
        before, started = self._clocks(), time.monotonic()
        outcome = self.load(requests, connections=connections, seconds=self.plan.seconds)
        ended, after = time.monotonic(), self._clocks()
        wall = ended - started
        used, busy, helped = (new - old for new, old in zip(after, before, strict=True))
        return Run(
            scenario=scenario,
            rate=outcome.rate,
            p50_ms=outcome.p50_ms,
            p99_ms=outcome.p99_ms,
            cpu_us=used / max(1, outcome.requests) * 1e6,
            rss_mb=processes.resident_megabytes(self.service.pids),
            speed=self.yardstick.speed(started, ended),
            foreign=0.0 if self.core is None else max(0.0, (busy - used) / wall),
            load_share=(outcome.cpu_seconds + helped) / wall,
            problems=problems_of(outcome, SCENARIOS[scenario][1]),
        )

    def _clocks(self) -> tuple[float, float, float]:
        """Return CPU seconds: the service's, those of its core without the yardstick, and those of a private Redis."""
        core = processes.busy_seconds(self.core) - processes.cpu_seconds([self.yardstick.process.pid])
        redis = processes.cpu_seconds([self._redis_pid]) if self._redis_pid else 0.0
        return processes.cpu_seconds(self.service.pids), core, redis

    def _target(self, scenario: str) -> Target:
        """Return the token, the newest items, and, if the scenario needs it, the cursor in the middle of the list."""
        token = self.service.log_in()
        hot, _ = self.service.items(token, min(HOT_ITEMS, self.plan.items))
        cursor = self.service.items(token, self.plan.items // 2)[1] if scenario == "list_deep" else ""
        return Target(self.service.port, token, [one for one, _ in hot], [tag for _, tag in hot], cursor)


def problems_of(outcome: Outcome, expected: frozenset[int]) -> list[str]:
    """Return the reasons why a run is invalid: unexpected responses and errors."""
    found = [
        f"{count} responses with status {status}"
        for status, count in outcome.statuses.items()
        if status not in expected
    ]
    if outcome.errors:
        found.append(f"{outcome.errors} connection errors or timeouts")
    return found
