"""Generated clients of /openapi.json compile under strict types, and their calls succeed.

An error in the document makes a client fail to compile, or makes the tour fail.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_service import INHERITED, RunningService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HERE = Path(__file__).resolve().parent
NOT_REACHED = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENOTCACHED", "network")


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def run_successfully(*command: str | Path, folder: Path, **environment: str) -> None:
    done = run(*command, folder=folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path, anonymous: httpx.Client) -> Iterator[Path]:
    """A folder with the OpenAPI document of the service."""
    (tmp_path / "openapi.json").write_bytes(anonymous.get("/openapi.json").content)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)  # it holds about 100 MB of TypeScript


def test_python_client_completes_the_tour(folder: Path, service: RunningService) -> None:
    generator = Path(sys.executable).with_name("openapi-python-client")
    if not generator.exists():
        pytest.skip("openapi-python-client is not installed")
    options = ("--path", "openapi.json", "--output-path", "agent_router_client", "--meta", "none", "--fail-on-warning")
    (folder / "config.yml").write_text("post_hooks: []\n")
    run_successfully(generator, "generate", *options, "--config", "config.yml", folder=folder)
    (folder / "agent_router_client" / "py.typed").touch()
    shutil.copy(HERE / "python" / "tour.py", folder)
    checked = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "tour.py", "agent_router_client")
    run_successfully(*checked, folder=folder)
    run_successfully(sys.executable, "tour.py", folder=folder, BASE_URL=service.url, NO_PROXY="127.0.0.1", **INHERITED)


def test_typescript_client_completes_the_tour(folder: Path, service: RunningService) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("node and npm are not installed")
    shutil.copytree(HERE / "typescript", folder, dirs_exist_ok=True)
    installed = run(npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", folder=folder)
    if installed.returncode != 0 and any(word in installed.stderr for word in NOT_REACHED):
        pytest.skip("npm does not reach its registry")
    assert installed.returncode == 0, installed.stderr
    run_successfully(npm, "run", "build", folder=folder)
    run_successfully(npm, "run", "tour", folder=folder, BASE_URL=service.url)
