"""The comparison distinguishes changes from noise, corrects for the machine's speed, and requires equal conditions."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import chart
from benchmarks.comparison import compare, different_conditions
from benchmarks.results import Results, Run, load, save
from benchmarks.table import remarks, table
from benchmarks.yardstick import speed

CONDITIONS: dict[str, str | int | float] = {"database": "SQLite", "items": 10_000}


def run(rate: float, *, scenario: str = "get", speed: float = 1.0, foreign: float = 0.0, problem: str = "") -> Run:
    return Run(
        scenario=scenario, rate=rate, p50_ms=1.0, p99_ms=2.0, cpu_us=1e6 / rate, rss_mb=100.0, speed=speed,
        foreign=foreign, load_share=0.2, problems=[problem] if problem else [],
    )  # fmt: skip


def results(*rates: float, **options: float) -> Results:
    return Results(CONDITIONS, [run(rate, **options) for rate in rates])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ((1000, 1010, 1020, 990, 1005), (1200, 1190, 1210, 1220, 1205), "faster"),
        ((1000, 1010, 1020, 990, 1005), (900, 905, 910, 890, 880), "slower"),
        ((1000, 1300, 900, 1100, 1200), (1150, 1400, 950, 1250, 1000), "within noise"),
        ((1000, 1000, 1000), (1020, 1020, 1020), "within noise"),
        # A single disturbed round does not decide.
        ((1000, 1010, 1005, 990, 400), (1200, 1190, 1210, 300, 1205), "faster"),
    ],
)
def test_verdict_of_a_comparison(before: tuple[float, ...], now: tuple[float, ...], verdict: str) -> None:
    (change,) = compare(results(*now), results(*before))
    assert change.verdict == verdict


def test_faster_machine_is_not_a_faster_service() -> None:
    (change,) = compare(results(2000, 2010, 1990, speed=2.0), results(1000, 1005, 995, speed=1.0))
    assert (round(change.ratio, 2), round(change.cpu_ratio, 2), change.verdict) == (1.0, 1.0, "within noise")
    (change,) = compare(results(500, 505, 495, foreign=0.5), results(1000, 1005, 995))
    assert (round(change.ratio, 2), change.verdict) == (1.0, "within noise")


def test_only_common_scenarios_are_compared() -> None:
    now = Results(CONDITIONS, [run(1000), run(500, scenario="list")])
    assert [change.scenario for change in compare(now, results(1000))] == ["get"]


def test_different_conditions_are_reported() -> None:
    other = Results({"database": "PostgreSQL", "items": 10_000}, [])
    assert different_conditions(results(1), other) == ["database was PostgreSQL, is SQLite"]
    assert different_conditions(results(1), results(2)) == []


def test_results_are_saved_and_loaded(tmp_path: Path) -> None:
    saved = results(1000, 900)
    save(saved, tmp_path / "results", "before")
    assert load(tmp_path / "results", "before") == saved
    assert load(tmp_path / "results", "never") is None


def test_table_has_every_scenario_and_remarks_name_problems() -> None:
    disturbed = run(500, scenario="list", foreign=0.3, problem="1 response with status 500")
    found = Results(CONDITIONS, [run(1000), run(1200), disturbed])
    changes = {change.scenario: change for change in compare(found, results(1000, 1010))}
    head, _, get, listed = table(found, changes, "before").splitlines()
    assert "x before" in head
    assert get.split()[:2] == ["get", "1100"]
    assert listed.split()[:2] == ["list", "500"]
    assert any("list" in remark and "get" not in remark for remark in remarks(found))
    assert "INVALID: list: 1 response with status 500" in remarks(found)


def test_chart_has_every_scenario() -> None:
    found = Results(CONDITIONS, [run(1000), run(500, scenario="list")])
    tree = ET.fromstring(chart(found, results(900), "<before>"))  # noqa: S314
    texts = [element.text for element in tree.iter() if element.text and element.text.strip()]
    assert {"get", "list", "1,000", "500", "900"} <= set(texts)
    assert any("<before>" in text for text in texts)


def test_speed_between_two_instants() -> None:
    notes = "".join(f"{at / 10:.1f} {250.0 if at < 10 else 500.0}\n" for at in range(20)) + "2.0 5"
    assert speed(notes, 0.0, 1.0) == 2.0
    assert speed(notes, 1.0, 2.0) == 1.0
    assert speed(notes, 5.0, 6.0) == 1.0
