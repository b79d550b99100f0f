"""The audit log: complete in the log and in the table, and without secrets."""

import pytest

from core.auth import audit, metrics
from core.auth.audit import Event
from core.auth.caller import Caller, caller_of, canonical_ip
from core.auth.models import AuditEvent
from core.http.request import Request
from core.telemetry.redaction import REDACTED, redact
from core.values import uuid7
from tests.core.auth.calls import WRONG, email_of, log_in, make_key, refresh, tokens_of, within_a_second
from tests.running_service import PASSWORD, RunningService

CALLER = Caller(ip="203.0.113.7", user_agent="test/1", request_id="request-1")


@pytest.mark.django_db
def test_event_is_saved_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    before = metrics.events.labels("logged_in")._value.get()
    user, session = uuid7(), uuid7()
    with caplog.at_level("INFO"):
        audit.announce([audit.record(Event.LOGGED_IN, CALLER, user_id=user, session_id=session)])
    row = AuditEvent.objects.get()
    assert (row.event, row.user_id, row.session_id, row.ip) == ("logged_in", user, session, CALLER.ip)
    assert (row.user_agent, row.request_id) == ("test/1", "request-1")
    [line] = [record.__dict__ for record in caplog.records if record.name == "agent_router.audit"]
    assert (line["audit_event"], line["user_id"], line["ip"]) == ("logged_in", str(user), CALLER.ip)
    assert metrics.events.labels("logged_in")._value.get() == before + 1


def test_no_logged_field_is_redacted() -> None:
    for name in audit.LOGGED_FIELDS:
        assert redact(name, "0199c0de-7a11-7000-8000-0000000000bb") != REDACTED


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unix:", None),
        ("testclient", None),
    ],
)
def test_ip_address_is_canonical_or_none(text: str, ip: str | None) -> None:
    assert canonical_ip(text) == ip


def test_user_agent_is_cut_and_cleaned_for_the_database() -> None:
    headers = [(b"user-agent", b"a\0b" + b"\xe9" * 1000)]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": ("203.0.113.7", 1)}
    caller = caller_of(Request(scope, dict(headers), b""))
    assert caller.user_agent.startswith("abé")
    assert len(caller.user_agent) == 255


def test_no_secret_is_logged_or_stored(service: RunningService) -> None:
    me = service.user()
    made, robot = make_key(service, me, "items:read")
    robot.get("/v1/items/")
    log_in(me, email_of(me), WRONG)
    first = tokens_of(me)
    second = refresh(me, first["refresh_token"]).json()
    refresh(me, first["refresh_token"])
    secrets = [PASSWORD, WRONG, made["key"].split("_")[2]]
    secrets += [one[name].rsplit(".")[-1] for one in (first, second) for name in ("refresh_token", "access_token")]
    stored = service.stored()
    expected = {"registered", "logged_in", "api_key_made", "log_in_failed", "refreshed", "refresh_reuse_detected"}
    assert within_a_second(lambda: expected <= {line["audit_event"] for line in audit_lines(service)})
    for secret in secrets:
        assert secret not in service.log
        assert secret.encode() not in stored
    mine = [line for line in audit_lines(service) if line["audit_event"] != "api_key_used_from_new_address"]
    assert all(line["correlation_id"] for line in mine)


def audit_lines(service: RunningService) -> list[dict[str, str]]:
    return [line for line in service.log_lines() if line.get("logger") == "agent_router.audit"]
