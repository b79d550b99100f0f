"""Optional packages are not imported at startup."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_service import PROJECT, RunningService


@pytest.mark.parametrize("name", ["opentelemetry"])
def test_worker_without_tracing_does_not_import(tmp_path: Path, name: str) -> None:
    script = (
        "import sys, agent_router.asgi\n"
        f"print([one for one in sys.modules if one == {name!r} or one.startswith({name + '.'!r})])"
    )
    environment = RunningService(tmp_path, REDIS_URL="").environment
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
