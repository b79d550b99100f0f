"""The command's text, JSON and exit code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from core.operations.doctor import examination
from core.operations.doctor.findings import Check, Finding, error, info, ok, warning
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.running_service import RunningService

type Checks = dict[str, Check]


def fail() -> Iterator[Finding]:
    yield ok("so far")
    raise ValueError("boom")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made: Checks = {"first": lambda: [ok("fine"), info("by the way")]}
    monkeypatch.setattr(examination, "CHECKS", made)
    return made


def test_findings_are_printed_by_check(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor", fail_level="warning")
    output = capsys.readouterr().out
    assert output.startswith("first\n  ok       fine\n  info     by the way\n")
    assert output.endswith("1 ok, 1 info, 0 warning, 0 error\n")
    assert "\x1b" not in output


def test_remedy_is_printed_below_the_problem(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks["second"] = lambda: [warning("old", "Buy a new one")]
    call_command("doctor", force_color=True)
    output = capsys.readouterr().out
    assert "second" in output
    assert "WARNING" in output
    assert "-> Buy a new one" in output
    assert "\x1b[33;1mWARNING" in output


@pytest.mark.parametrize(
    ("finding", "fail_level", "code"),
    [
        (warning("w", "r"), "error", 0),
        (warning("w", "r"), "warning", 1),
        (error("e", "r"), "error", 1),
        (error("e", "r"), "warning", 1),
    ],
)
def test_exit_code_depends_on_the_level(checks: Checks, finding: Finding, fail_level: str, code: int) -> None:
    checks["second"] = lambda: [finding]
    if code:
        with pytest.raises(SystemExit) as exit_info:
            call_command("doctor", fail_level=fail_level)
        assert exit_info.value.code == code
    else:
        call_command("doctor", fail_level=fail_level)


def test_check_that_raises_is_an_error_and_others_still_run(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks["second"] = fail
    checks["third"] = lambda: [ok("last")]
    with pytest.raises(SystemExit):
        call_command("doctor", json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "error"
    assert report["counts"] == {"ok": 3, "info": 1, "warning": 0, "error": 1}
    assert [finding["check"] for finding in report["findings"]] == ["first", "first", "second", "second", "third"]
    assert "ValueError: boom" in report["findings"][3]["message"]


def test_service_without_redis_has_no_errors(tmp_path: Path) -> None:
    dsn = f"sqlite:///{tmp_path / 'app.db'}"
    service = RunningService(tmp_path, DB_DSN=dsn, BACKUP_DIR=str(tmp_path / "backups"))
    service.prepare_database()
    report = json.loads(service.manage("doctor", "--json").stdout)
    assert report["counts"]["error"] == 0
    assert {finding["check"] for finding in report["findings"]} == set(examination.CHECKS)


def test_several_faults_are_reported_as_json(tmp_path: Path) -> None:
    """No migrations, four workers, and no Redis although the service requires it."""
    gone = f"redis://127.0.0.1:{free_port()}"
    service = RunningService(tmp_path, WORKERS="4", REDIS_URL=gone, REDIS_REQUIRED="true")
    done = service.manage("doctor", "--json", check=False)
    assert done.returncode == 1
    errors = [one["message"] for one in json.loads(done.stdout)["findings"] if one["level"] == "error"]
    assert any("Migrations are not applied" in message for message in errors)
    assert any("Redis is unreachable" in message for message in errors)


def test_good_redis_has_no_findings(tmp_path: Path) -> None:
    with RedisServer("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as server:
        service = RunningService(tmp_path, REDIS_URL=server.url)
        done = service.manage("doctor", "--json", check=False)
    found = [one for one in json.loads(done.stdout)["findings"] if one["check"] in ("redis", "clock")]
    assert {one["level"] for one in found} == {"ok"}, found
