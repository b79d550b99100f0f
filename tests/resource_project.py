"""A copy of the project in which tests create further resources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.running_service import INHERITED, PROJECT

PARTS = (
    "agent_router", "benchmarks", "core", "items", "scripts", "tests", "manage.py", "pyproject.toml", ".dockerignore",
)  # fmt: skip


def copy_project(target: Path) -> Path:
    """Copy everything that `manage.py startresource`, the checks and the tests need."""
    for name in PARTS:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    (target / "data").mkdir()
    return target


def run_in(project: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a Python module or script in the project with the settings of a development service."""
    environment = INHERITED | {"JWT_SECRET": "s" * 32, "REDIS_URL": "", "DB_DSN": f"sqlite:///{project}/data/app.db"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("TEST_")}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def edit(path: Path, before: str, after: str) -> None:
    """Replace a text that the file contains once."""
    text = path.read_text()
    assert text.count(before) == 1, f"{path}: {before}"
    path.write_text(text.replace(before, after))
