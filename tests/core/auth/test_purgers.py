"""manage.py purge_expired: deletes expired rows, and no others, batch by batch."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from django.contrib.sessions.models import Session as AdminSession
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.auth import sessions
from core.auth.caller import UNKNOWN_CALLER
from core.auth.models import APIKey, AuditEvent, Lockout, RefreshToken, Session, User
from core.management.commands.purge_expired import PURGES
from core.values import now
from tests.core.auth.calls import again, is_refused, query, refresh, tokens_of
from tests.databases import IS_POSTGRES
from tests.running_service import RunningService

DAY = timedelta(days=1)
type MakeUser = Callable[..., User]


def purge(**options: Any) -> dict[str, int]:
    """Run the command and return the counts that it prints."""
    out = StringIO()
    call_command("purge_expired", stdout=out, **options)
    lines = (line.split(": ") for line in out.getvalue().splitlines())
    return {name: int(count) for name, count in lines}


def test_purge_runs_until_a_batch_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    left, sizes = [7], []

    def purge_some(batch_size: int) -> int:
        sizes.append(batch_size)
        deleted = min(batch_size, left[0])
        left[0] -= deleted
        return deleted

    purges = {"things": purge_some, "nothings": lambda _: 0}
    monkeypatch.setattr("core.management.commands.purge_expired.PURGES", purges)
    assert purge(batch_size=3) == {"things": 7, "nothings": 0}
    assert sizes == [3, 3, 3]


def test_empty_batch_is_refused() -> None:
    with pytest.raises(CommandError, match="--batch-size"):
        purge(batch_size=0)


def test_expired_sessions_are_deleted_with_their_tokens(make_user: MakeUser) -> None:
    user = make_user()
    kept, _ = sessions.begin_session(user, UNKNOWN_CALLER)
    expired = [sessions.begin_session(user, UNKNOWN_CALLER)[0] for _ in range(5)]
    Session.objects.filter(id__in=[one.id for one in expired]).update(expires_at=now() - DAY)
    assert purge(batch_size=2)["sessions"] == 5
    assert list(Session.objects.all()) == [kept]
    assert RefreshToken.objects.get().session_id == kept.id


def test_used_token_is_kept_until_its_expiry(make_user: MakeUser) -> None:
    session, _ = sessions.begin_session(make_user(), UNKNOWN_CALLER)
    first = RefreshToken.objects.get()
    RefreshToken.objects.update(used_at=now())
    later = {"created_at": now(), "expires_at": now() + DAY, "session": session}
    RefreshToken.objects.create(digest="second", parent=first, **later)
    assert purge()["refresh tokens"] == 0
    RefreshToken.objects.filter(pk=first.pk).update(expires_at=now() - DAY)
    assert purge()["refresh tokens"] == 1
    assert RefreshToken.objects.get().parent_id is None


def test_ended_keys_and_audit_events_are_kept_for_a_while(make_user: MakeUser) -> None:
    user = make_user()

    def key(number: int, **fields: Any) -> str:
        prefix = f"prefix{number:06}"
        APIKey.objects.create(user=user, name="k", prefix=prefix, digest="d", created_at=now(), **fields)
        return prefix

    kept = {
        key(1),
        key(2, expires_at=now() + DAY),
        key(3, expires_at=now() - 29 * DAY),
        key(4, revoked_at=now() - 29 * DAY),
    }
    key(5, expires_at=now() - 31 * DAY)
    key(6, revoked_at=now() - 31 * DAY)
    for days in (1, 89, 91, 1000):
        AuditEvent.objects.create(event="x", created_at=now() - days * DAY)
    counts = purge()
    assert (counts["API keys"], counts["audit events"]) == (2, 2)
    assert set(APIKey.objects.values_list("prefix", flat=True)) == kept


def test_stale_login_attempts_and_admin_sessions_are_deleted(db: None) -> None:
    for number, then in enumerate((now() - DAY, now() + DAY)):
        Lockout.objects.create(email_digest=str(number), tried_at="[]", forgotten_at=then)
        AdminSession.objects.create(session_key=str(number), session_data="", expire_date=then)
    counts = purge()
    assert (counts["login attempts"], counts["admin sessions"]) == (1, 1)
    assert Lockout.objects.get().email_digest == AdminSession.objects.get().session_key == "1"


@pytest.mark.skipif(IS_POSTGRES, reason="reads SQLite's query plans")
@pytest.mark.parametrize("name", ["refresh tokens", "sessions", "login attempts", "audit events", "admin sessions"])
def test_purge_finds_its_rows_by_an_index(db: None, name: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        PURGES[name](10)
    found = next(query["sql"] for query in queries.captured_queries if query["sql"].startswith("SELECT"))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {found}")
        plan = [row[3] for row in cursor.fetchall()]
    assert any("USING" in step and "INDEX" in step for step in plan), plan


def test_purge_does_not_disturb_requests(me: httpx.Client, service: RunningService) -> None:
    other = again(service, me)
    query(
        service,
        "UPDATE accounts_session SET expires_at = '2020-01-01 00:00:00' WHERE id = (SELECT s.id FROM accounts_session s"
        " ORDER BY s.created_at DESC LIMIT 1)",
    )
    service.manage("purge_expired", "--batch-size", "1")
    assert not is_refused(me)
    assert refresh(me, tokens_of(me)["refresh_token"]).status_code == 200
    assert is_refused(other)
