"""What `make run` prints and does: the tour works when pasted, repeatedly, and README.md shows the same tour."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.run import banner, reachable
from scripts.tour import tour
from tests.running_service import PROJECT, RunningService


class ServiceByRun(RunningService):
    """The service as `make run` starts it."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("-m", "scripts.run")


def paste(shell: str, commands: str) -> list[str]:
    """Run the commands as if pasted into a shell, and return the lines of the output."""
    environment = {"PATH": "/usr/bin:/bin", "no_proxy": "127.0.0.1"}
    done = subprocess.run([shell], input=commands, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.endswith("\n")
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_tour_can_be_pasted_repeatedly(start: Callable[..., RunningService], shell: str) -> None:
    program = shutil.which(shell)
    if program is None or shutil.which("curl") is None:
        pytest.skip(f"{shell} or curl is not on this machine")
    service = start()
    for count in (1, 2):
        lines = paste(program, tour(service.url))
        titles, answers = lines[::2], lines[1::2]
        assert [title.partition(".")[0] for title in titles] == list("1234567")
        registered, token, *items = answers
        assert json.loads(registered)["email" if count == 1 else "status"] == ("me@example.com" if count == 1 else 409)
        assert token.count(".") == 2
        created, read, listed, changed = map(json.loads, items)
        assert created == read == listed["items"][0]
        assert len(listed["items"]) == count
        assert (created["name"], created["status"], created["version"]) == ("My first item", "active", 1)
        assert changed == created | {"status": "archived", "version": 2, "updated_at": changed["updated_at"]}
        assert titles[-1].endswith(f"{service.url}/docs")


def test_readme_shows_the_tour() -> None:
    assert f"\n```bash\n{tour('http://127.0.0.1:8000')}\n```\n" in (PROJECT / "README.md").read_text()


def test_run_migrates_prints_the_tour_and_serves(tmp_path: Path) -> None:
    service = ServiceByRun(tmp_path, HOST="127.0.0.1", ENV_FILE="/dev/null")
    service.environment |= {"PORT": str(service.port), "DB_DSN": f"sqlite:///{tmp_path}/new.db"}
    try:
        service.start()
        with service.client() as client:
            assert client.get("/health/ready").status_code == 200
    finally:
        service.stop()
    assert "Applying migrations" in service.log
    assert tour(service.url) in service.log


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, "PORT=http is not a number from 1 to 65535"),
        ({"HOST": "nowhere.invalid"}, "Cannot listen on HOST=nowhere.invalid PORT=8000: "),
        ({"DB_DSN": "postgresql://me@127.0.0.1:1/app"}, "The database in DB_DSN is not usable: "),
    ],
)
def test_run_explains_why_it_cannot_serve(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    service = RunningService(tmp_path, ENV_FILE="/dev/null")
    environment = service.environment | {"PORT": "8000"} | variables
    environment |= {} if "PORT" in variables or "HOST" in variables else {"PORT": str(service.port)}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.run"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "in_url"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("localhost", "localhost"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_printed_urls_are_reachable_from_this_machine(host: str, in_url: str) -> None:
    assert reachable(host) == in_url
    assert f"http://{in_url}:8000/docs" in banner(host, 8000)
