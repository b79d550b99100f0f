"""schemathesis against the running service: whatever the document allows or forbids is sent, one by one and in chains.

All of its checks hold: no 5xx, no status, type, header or body that the document does not have, nothing refused that
the document allows (but what it cannot say: schemathesis.toml), nothing taken that it forbids, no operation that
forgets to ask for credentials, nothing that is there after it was deleted.
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
    """The number of cases, all of which have passed."""
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
def test_document_is_true_in_short(start: Callable[..., RunningService], tmp_path: Path) -> None:
    assert fuzz(start(), tmp_path, "--phases", "examples,coverage", "--max-examples", "1") > 300


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_document_is_true_at_length(start: Callable[..., RunningService], tmp_path: Path) -> None:
    assert fuzz(start(), tmp_path, "--max-examples", "150") > 2000


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_document_is_true_at_length_on_postgresql(start: Callable[..., RunningService], tmp_path: Path) -> None:
    with PostgresServer() as server:
        service = start(DB_DSN=server.create_database())
        assert fuzz(service, tmp_path, "--max-examples", "150") > 2000
        service.stop()
