"""What was measured, in memory and on disk."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.scenarios import SCENARIOS

# git ignores it.
FOLDER = Path(__file__).resolve().parent / "results"
LAST = "last"


@dataclass(frozen=True)
class Run:
    """One scenario for some seconds."""

    scenario: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the service's processes, for one request
    rss_mb: float
    speed: float  # of the service's core meanwhile: yardstick.py
    foreign: float  # share of that core that others took
    load_share: float  # share of the other core that the load generator took
    problems: list[str] = field(default_factory=list)

    @property
    def fair_rate(self) -> float:
        """The rate at speed 1, had the service had its core for itself."""
        return self.rate / self.speed / (1 - min(self.foreign, 0.9))

    @property
    def fair_cpu_us(self) -> float:
        """CPU time for one request at speed 1."""
        return self.cpu_us * self.speed


@dataclass(frozen=True)
class Results:
    """All runs, and under what conditions they were made: only equal ones can be compared."""

    conditions: dict[str, str | int | float]
    runs: list[Run]

    @property
    def scenarios(self) -> list[str]:
        """Those that were measured."""
        measured = {run.scenario for run in self.runs}
        return [name for name in SCENARIOS if name in measured]

    def of(self, scenario: str) -> list[Run]:
        """The rounds of one scenario."""
        return [run for run in self.runs if run.scenario == scenario]

    def median(self, scenario: str, attribute: str) -> float:
        """The middle of a figure's rounds."""
        middle: float = median(getattr(run, attribute) for run in self.of(scenario))
        return middle

    @property
    def problems(self) -> list[str]:
        """Whatever went wrong, each once."""
        return list(dict.fromkeys(f"{run.scenario}: {problem}" for run in self.runs for problem in run.problems))


def save(results: Results, folder: Path, name: str) -> Path:
    """Keeps them under a name."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(asdict(results), indent=1) + "\n")
    return file


def load(folder: Path, name: str) -> Results | None:
    """What was saved under a name; None if nothing was."""
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    kept = json.loads(file.read_text())
    return Results(kept["conditions"], [Run(**run) for run in kept["runs"]])
