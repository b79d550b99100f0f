"""schemathesis against the running service: it sends everything that the OpenAPI document allows or forbids.

All checks are on. No response is a 5xx or undocumented, valid requests succeed (except for schemathesis.toml), invalid
requests and requests without credentials fail, and deleted resources stay deleted.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tests.running_service import RunningService

HERE = Path(__file__).resolve().parent
FOUND = re.compile(r"(\d+) generated, (\d+) passed")


def fuzz(service: RunningService, folder: Path, *options: str) -> int:
    """Run schemathesis, assert that all cases pass, and return their number."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{service.url}/openapi.json", "--checks", "all", "--no-color", *options,
    ]  # fmt: skip
    environment = {
        **os.environ, "BASE_URL": service.url, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    errors = [line for line in service.log_lines() if line.get("status", 0) >= 500 or line["level"] == "ERROR"]
    assert not errors, errors[:3]
    found = FOUND.search(done.stdout)
    assert found, done.stdout
    return int(found[2])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_service_matches_its_document(start: Callable[..., RunningService], tmp_path: Path) -> None:
    assert fuzz(start(), tmp_path, "--phases", "examples,coverage", "--max-examples", "1") > 300


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_service_matches_its_document_in_many_cases(start: Callable[..., RunningService], tmp_path: Path) -> None:
    assert fuzz(start(), tmp_path, "--max-examples", "150") > 2000


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_service_matches_its_document_in_many_cases_on_postgresql(
    start: Callable[..., RunningService], tmp_path: Path
) -> None:
    with PostgresServer() as server:
        service = start(DB_DSN=server.create_database())
        assert fuzz(service, tmp_path, "--max-examples", "150") > 2000
        service.stop()
