"""The command: what it prints, for whom, and with which exit code."""

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


def test_all_is_well(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor", fail_level="warning")
    said = capsys.readouterr().out
    assert said.startswith("first\n  ok       fine\n  info     by the way\n")
    assert said.endswith("1 ok, 1 info, 0 warning, 0 error\n")
    assert "\x1b" not in said


def test_what_is_wrong_is_told_with_its_remedy(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks["second"] = lambda: [warning("old", "Buy a new one")]
    call_command("doctor", force_color=True)
    said = capsys.readouterr().out
    assert "second" in said
    assert "WARNING" in said
    assert "-> Buy a new one" in said
    assert "\x1b[33;1mWARNING" in said


@pytest.mark.parametrize(
    ("finding", "fail_level", "code"),
    [
        (warning("w", "r"), "error", 0),
        (warning("w", "r"), "warning", 1),
        (error("e", "r"), "error", 1),
        (error("e", "r"), "warning", 1),
    ],
)
def test_exit_code_goes_by_the_level(checks: Checks, finding: Finding, fail_level: str, code: int) -> None:
    checks["second"] = lambda: [finding]
    if code:
        with pytest.raises(SystemExit) as ended:
            call_command("doctor", fail_level=fail_level)
        assert ended.value.code == code
    else:
        call_command("doctor", fail_level=fail_level)


def test_check_that_fails_is_a_finding_and_ends_no_other(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks["second"] = fail
    checks["third"] = lambda: [ok("last")]
    with pytest.raises(SystemExit):
        call_command("doctor", json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "error"
    assert told["counts"] == {"ok": 3, "info": 1, "warning": 0, "error": 1}
    assert [one["check"] for one in told["findings"]] == ["first", "first", "second", "second", "third"]
    assert "ValueError: boom" in told["findings"][3]["message"]


def test_service_without_redis_is_well(tmp_path: Path) -> None:
    dsn = f"sqlite:///{tmp_path / 'app.db'}"
    service = RunningService(tmp_path, DB_DSN=dsn, BACKUP_DIR=str(tmp_path / "backups"))
    service.prepare_database()
    told = json.loads(service.manage("doctor", "--json").stdout)
    assert told["counts"]["error"] == 0
    assert {one["check"] for one in told["findings"]} == set(examination.CHECKS)


def test_what_ails_a_service_is_found(tmp_path: Path) -> None:
    """Not migrated, four workers, Redis required and gone, and nothing of it breaks the JSON."""
    gone = f"redis://127.0.0.1:{free_port()}"
    service = RunningService(tmp_path, WORKERS="4", REDIS_URL=gone, REDIS_REQUIRED="true")
    done = service.manage("doctor", "--json", check=False)
    assert done.returncode == 1
    told = [one["message"] for one in json.loads(done.stdout)["findings"] if one["level"] == "error"]
    assert any("Migrations are not applied" in message for message in told)
    assert any("Redis is out of reach" in message for message in told)


def test_redis_that_runs_is_well(tmp_path: Path) -> None:
    with RedisServer("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as server:
        service = RunningService(tmp_path, REDIS_URL=server.url)
        done = service.manage("doctor", "--json", check=False)
    told = [one for one in json.loads(done.stdout)["findings"] if one["check"] in ("redis", "clock")]
    assert {one["level"] for one in told} == {"ok"}, told
