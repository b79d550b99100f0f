"""The unit files: valid for systemd, hardened, and with time to stop."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from core.process.draining import DRAIN_SECONDS
from tests.running_service import PROJECT

FOLDER = PROJECT / "deploy" / "systemd"
UNITS = sorted(FOLDER.iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
# 0 is safe, 10 is not.
MOST_EXPOSURE = 2.0


def analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def values(unit: Path) -> configparser.SectionProxy:
    """Return the section [Service]."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.read_text())
    return parser["Service"]


def test_units_are_valid() -> None:
    said = analyze("verify", *map(str, UNITS)).splitlines()
    # The service is not installed on this machine.
    assert [line for line in said if not re.search(r"/opt/agent-router/\S+ is not executable", line)] == []


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_service_is_hardened(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(unit))
    [exposure] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert float(exposure) <= MOST_EXPOSURE


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_service_runs_as_an_unprivileged_user(unit: Path) -> None:
    service = values(unit)
    assert service["User"] == "agent-router"
    assert service["UMask"] == "0077"


def test_there_is_time_to_stop() -> None:
    from agent_router import settings

    seconds = int(values(FOLDER / "agent-router.service")["TimeoutStopSec"])
    assert seconds >= DRAIN_SECONDS + settings.SHUTDOWN_TIMEOUT_SECONDS + 10


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".timer"], ids=lambda unit: unit.name)
def test_timer_has_its_service(unit: Path) -> None:
    assert unit.with_suffix(".service") in SERVICES
    assert "Persistent=true" in unit.read_text()
