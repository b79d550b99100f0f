"""The results as text."""

from benchmarks.comparison import Change, middle_half
from benchmarks.results import Results

HEAD = ("scenario", "req/s", "spread", "p50 ms", "p99 ms", "CPU µs", "RSS MB", "at speed 1")
WIDTH = 10
DISTURBED, BUSY = 0.1, 0.9


def table(results: Results, changes: dict[str, Change], name: str) -> str:
    """Return a table with one line per scenario, and its change from the results of that name."""
    head = [*HEAD, *([f"x {name}"[:WIDTH], "by CPU", "verdict"] if changes else [])]
    rows = [head, *(_row(results, scenario, changes.get(scenario)) for scenario in results.scenarios)]
    lines = []
    for row in rows:
        name_of_scenario, *figures = row + [""] * (len(head) - len(row))
        lines.append("  ".join([f"{name_of_scenario:11}", *(f"{one:>{WIDTH}}" for one in figures)]).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(results: Results, scenario: str, change: Change | None) -> list[str]:
    low, high = middle_half([run.fair_rate for run in results.of(scenario)])
    middle = results.median(scenario, "fair_rate")
    row = [
        scenario,
        f"{results.median(scenario, 'rate'):.0f}",
        f"±{(high - low) / 2 / middle:.0%}",
        f"{results.median(scenario, 'p50_ms'):.2f}",
        f"{results.median(scenario, 'p99_ms'):.2f}",
        f"{results.median(scenario, 'cpu_us'):.0f}",
        f"{max(run.rss_mb for run in results.of(scenario)):.0f}",
        f"{middle:.0f}",
    ]
    return [*row, f"{change.ratio:.2f}", f"{change.cpu_ratio:.2f}", change.verdict] if change else row


def remarks(results: Results) -> list[str]:
    """Return warnings about the reliability of the figures."""
    found = []
    disturbed = [name for name in results.scenarios if results.median(name, "foreign") > DISTURBED]
    if disturbed:
        found.append(f"Other processes used more than {DISTURBED:.0%} of the service's core in: {', '.join(disturbed)}")
    limited = [name for name in results.scenarios if results.median(name, "load_share") > BUSY]
    if limited:
        found.append(f"The load generator was the bottleneck in: {', '.join(limited)}")
    return found + [f"INVALID: {problem}" for problem in results.problems]
