"""Is it faster than it was? Compares two saved runs, and tells a difference from noise."""

from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.results import Results

# Two runs of the very same code come out this much apart even when each is steady in itself.
LEAST_DIFFERENCE = 0.03


@dataclass(frozen=True)
class Change:
    """One scenario's rate as a multiple of what it was. It is clear if the middle halves do not overlap."""

    scenario: str
    ratio: float
    cpu_ratio: float
    is_clear: bool

    @property
    def verdict(self) -> str:
        """In one word or two."""
        if not self.is_clear:
            return "within noise"
        return "faster" if self.ratio > 1 else "slower"


def middle_half(figures: list[float]) -> tuple[float, float]:
    """The quartiles; of one or two figures, the lowest and the highest."""
    if len(figures) < 3:
        return min(figures), max(figures)
    low, _, high = quantiles(figures, method="inclusive")
    return low, high


def compare(now: Results, before: Results) -> list[Change]:
    """A change for each scenario that both have, at equal speed of the machine."""
    changes = []
    for scenario in now.scenarios:
        new = [run.fair_rate for run in now.of(scenario)]
        old = [run.fair_rate for run in before.of(scenario)]
        if not old:
            continue
        (new_low, new_high), (old_low, old_high) = middle_half(new), middle_half(old)
        ratio = median(new) / median(old)
        is_apart = new_low > old_high or new_high < old_low
        costs = before.median(scenario, "fair_cpu_us") / now.median(scenario, "fair_cpu_us")
        changes.append(Change(scenario, ratio, costs, is_apart and abs(ratio - 1) >= LEAST_DIFFERENCE))
    return changes


def different_conditions(now: Results, before: Results) -> list[str]:
    """What makes the two not comparable, in words."""
    names = dict.fromkeys([*now.conditions, *before.conditions])
    return [
        f"{name} was {before.conditions.get(name, 'unknown')}, is {now.conditions.get(name, 'unknown')}"
        for name in names
        if now.conditions.get(name) != before.conditions.get(name)
    ]
