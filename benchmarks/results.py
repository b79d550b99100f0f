"""Results in memory and on disk."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.scenarios import SCENARIOS

# This folder is in .gitignore.
FOLDER = Path(__file__).resolve().parent / "results"
LAST = "last"


@dataclass(frozen=True)
class Run:
    """One measurement of one scenario."""

    scenario: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the service's processes, per request
    rss_mb: float
    speed: float  # speed of the service's core during the run (yardstick.py)
    foreign: float  # share of that core that other processes used
    load_share: float  # share of the other core that the load generator used
    problems: list[str] = field(default_factory=list)

    @property
    def fair_rate(self) -> float:
        """The rate at speed 1 without other processes on the service's core."""
        return self.rate / self.speed / (1 - min(self.foreign, 0.9))

    @property
    def fair_cpu_us(self) -> float:
        """CPU time per request at speed 1."""
        return self.cpu_us * self.speed


@dataclass(frozen=True)
class Results:
    """All runs and their conditions. Results are comparable only under equal conditions."""

    conditions: dict[str, str | int | float]
    runs: list[Run]

    @property
    def scenarios(self) -> list[str]:
        measured = {run.scenario for run in self.runs}
        return [name for name in SCENARIOS if name in measured]

    def of(self, scenario: str) -> list[Run]:
        """Return the runs of one scenario."""
        return [run for run in self.runs if run.scenario == scenario]

    def median(self, scenario: str, attribute: str) -> float:
        """Return the median of an attribute over a scenario's runs."""
        middle: float = median(getattr(run, attribute) for run in self.of(scenario))
        return middle

    @property
    def problems(self) -> list[str]:
        """All distinct problems."""
        return list(dict.fromkeys(f"{run.scenario}: {problem}" for run in self.runs for problem in run.problems))


def save(results: Results, folder: Path, name: str) -> Path:
    """Save the results under a name, and return the file."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(asdict(results), indent=1) + "\n")
    return file


def load(folder: Path, name: str) -> Results | None:
    """Return the results saved under a name, or None."""
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    saved = json.loads(file.read_text())
    return Results(saved["conditions"], [Run(**run) for run in saved["runs"]])
