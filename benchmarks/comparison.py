"""Compare two saved results, and distinguish changes from noise."""

from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.results import Results

# Two runs of the same code differ by up to this much, even if each of them is steady.
LEAST_DIFFERENCE = 0.03


@dataclass(frozen=True)
class Change:
    """The ratio of a scenario's rates, now / before. A change is clear if the middle halves do not overlap."""

    scenario: str
    ratio: float
    cpu_ratio: float
    is_clear: bool

    @property
    def verdict(self) -> str:
        if not self.is_clear:
            return "within noise"
        return "faster" if self.ratio > 1 else "slower"


def middle_half(figures: list[float]) -> tuple[float, float]:
    """Return the quartiles, or the minimum and maximum of one or two figures."""
    if len(figures) < 3:
        return min(figures), max(figures)
    low, _, high = quantiles(figures, method="inclusive")
    return low, high


def compare(now: Results, before: Results) -> list[Change]:
    """Return the change of each scenario that both results contain, corrected for the machine's speed."""
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
    """Return the differences that make two results incomparable."""
    names = dict.fromkeys([*now.conditions, *before.conditions])
    return [
        f"{name} was {before.conditions.get(name, 'unknown')}, is {now.conditions.get(name, 'unknown')}"
        for name in names
        if now.conditions.get(name) != before.conditions.get(name)
    ]
