"""The whole benchmark, with few items and short rounds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
SHORT = ("--rounds", "1", "--seconds", "1", "--warmup", "0.2", "--items", "120", "--connections", "4")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark needs /proc")
@pytest.mark.parametrize("generator", ["python", "wrk"])
def test_benchmark_measures_saves_and_compares(tmp_path: Path, generator: str) -> None:
    if generator == "wrk" and not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    arguments = [*SHORT, "--load", generator, "--folder", str(tmp_path), "--scenarios", "get_304", "create_idem"]
    first = bench(*arguments, "--save", "before")
    assert first.returncode == 0, first.stdout + first.stderr
    saved = json.loads((tmp_path / "before.json").read_text())
    assert {run["scenario"] for run in saved["runs"]} == {"get_304", "create_idem"}
    assert all(run["rate"] > 0 and run["cpu_us"] > 0 and run["rss_mb"] > 0 for run in saved["runs"])
    assert (tmp_path / "before.svg").read_text().startswith("<svg")
    second = bench(*arguments, "--against", "before")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "x before" in second.stdout


def test_help_and_unknown_results() -> None:
    help_text = bench("--help")
    assert help_text.returncode == 0
    assert "--against" in help_text.stdout
    unknown = bench("--against", "never-saved")
    assert unknown.returncode == 1
    assert "never-saved" in unknown.stderr
