"""Login sessions over HTTP: refreshed, listed and ended."""

import hashlib
import re
import time
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from core.auth import sessions
from core.auth.caller import UNKNOWN_CALLER
from core.auth.models import RefreshToken, Session, User
from tests.core.auth.calls import (
    again,
    at_once,
    email_of,
    events,
    hold,
    is_refused,
    problem,
    query,
    refresh,
    tokens_of,
    within_a_second,
)
from tests.running_service import RunningService

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def listed(me: httpx.Client) -> list[dict[str, object]]:
    answer = me.get("/v1/auth/sessions")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"sessions"}
    return list(answer.json()["sessions"])


def test_login_returns_both_tokens(me: httpx.Client) -> None:
    tokens = tokens_of(me)
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"}
    assert (tokens["token_type"], tokens["expires_in"], tokens["refresh_expires_in"]) == ("Bearer", 900, 7 * 86400)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", tokens["refresh_token"])


def test_refreshing_rotates_the_tokens(me: httpx.Client, service: RunningService) -> None:
    first = tokens_of(me)
    answer = refresh(me, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert set(second) == set(first)
    assert second["refresh_token"] != first["refresh_token"]
    assert not is_refused(me), "the old access token stays valid until it expires"
    assert not is_refused(hold(me, second))
    assert refresh(me, second["refresh_token"]).status_code == 200
    assert events(service, email_of(me))[-2:] == ["refreshed", "refreshed"]


def test_refreshing_ignores_the_access_token(me: httpx.Client) -> None:
    body = {"refresh_token": tokens_of(me)["refresh_token"]}
    answer = me.post("/v1/auth/refresh", json=body, headers={"Authorization": "Bearer an.expired.one"})
    assert answer.status_code == 200


def test_chain_of_refresh_tokens_is_stored_as_digests(me: httpx.Client, service: RunningService) -> None:
    texts = [tokens_of(me)["refresh_token"]]
    for _ in range(3):
        texts.append(refresh(me, texts[-1]).json()["refresh_token"])
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    found = query(
        service,
        "SELECT digest, parent_id, used_at IS NOT NULL FROM accounts_refreshtoken"
        " WHERE session_id = (SELECT session_id FROM accounts_refreshtoken WHERE digest = ?) ORDER BY created_at",
        digests[0],
    )
    assert found == list(zip(digests, [None, *digests], [1, 1, 1, 0], strict=False))
    stored = service.stored()
    assert not any(text.encode() in stored for text in texts)


def reuses(service: RunningService) -> float:
    text = service.client().get("/metrics").text
    found = re.search(r"^auth_refresh_reuse_total(?:\{[^}]*\})? ([0-9.e+]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_reused_refresh_token_ends_only_its_session(me: httpx.Client, service: RunningService) -> None:
    elsewhere = again(service, me)
    stolen, before = tokens_of(me)["refresh_token"], reuses(service)
    hold(me, refresh(me, stolen).json())
    problem(refresh(me, stolen), 401, "unauthorized")
    assert is_refused(me), "the same process refuses it at once"
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    assert not is_refused(elsewhere)
    assert refresh(elsewhere, tokens_of(elsewhere)["refresh_token"]).status_code == 200
    assert "refresh_reuse_detected" in events(service, email_of(me))
    assert reuses(service) == before + 1
    problem(refresh(me, stolen), 401, "unauthorized")
    assert reuses(service) == before + 1, "an ended session has nothing left to steal"


def test_reused_refresh_token_of_any_age_ends_the_session(me: httpx.Client) -> None:
    first = tokens_of(me)["refresh_token"]
    for _ in range(5):
        hold(me, refresh(me, tokens_of(me)["refresh_token"]).json())
    problem(refresh(me, first), 401, "unauthorized")
    assert is_refused(me)


def test_at_most_one_of_twenty_concurrent_refreshes_succeeds(two_workers: RunningService) -> None:
    for _ in range(3):
        me = two_workers.user()
        token = tokens_of(me)["refresh_token"]
        clients = [two_workers.client() for _ in range(20)]
        answers = at_once([partial(refresh, one, token) for one in clients])
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses in ([200] + [401] * 19, [401] * 20)
        for answer in answers:
            if answer.status_code == 200:
                problem(refresh(me, answer.json()["refresh_token"]), 401, "unauthorized")
        assert within_a_second(partial(is_refused, me))
        assert events(two_workers, email_of(me)).count("refresh_reuse_detected") == 1


def test_logout_reaches_every_worker_within_a_second(two_workers: RunningService) -> None:
    me = two_workers.user()
    clients = [two_workers.client(headers=me.headers) for _ in range(12)]
    assert not any(is_refused(one) for one in clients)
    assert me.post("/v1/auth/logout").status_code == 204
    for one in clients:
        assert within_a_second(partial(is_refused, one))


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "ü" * 43, "a.b.c", "A" * 4096])
def test_unknown_refresh_token_is_refused(anonymous: httpx.Client, token: str) -> None:
    answer = refresh(anonymous, token)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_access_and_refresh_tokens_are_not_interchangeable(me: httpx.Client) -> None:
    problem(refresh(me, tokens_of(me)["access_token"]), 401, "unauthorized")
    me.headers["Authorization"] = f"Bearer {tokens_of(me)['refresh_token']}"
    assert is_refused(me)


def test_idle_session_ends(start: Callable[..., RunningService]) -> None:
    me = start(REFRESH_TOKEN_IDLE_TTL="1").user()
    assert tokens_of(me)["refresh_expires_in"] == 1
    deadline = time.monotonic() + 5
    while not is_refused(me):
        assert time.monotonic() < deadline
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")


def test_refreshing_does_not_extend_a_session_forever(start: Callable[..., RunningService]) -> None:
    me = start(REFRESH_TOKEN_IDLE_TTL="2", REFRESH_TOKEN_ABSOLUTE_TTL="3").user()
    began = time.monotonic()
    while (answer := refresh(me, tokens_of(me)["refresh_token"])).status_code == 200:
        assert answer.json()["refresh_expires_in"] <= max(0, began + 3.5 - time.monotonic())
        hold(me, answer.json())
    problem(answer, 401, "unauthorized")
    assert 2 < time.monotonic() - began < 5


def test_logout_ends_only_its_session(me: httpx.Client, service: RunningService) -> None:
    other = again(service, me)
    answer = me.post("/v1/auth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_refused(me), "the same process refuses it at once"
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    assert not is_refused(other)
    assert "logged_out" in events(service, email_of(me))


def test_logout_everywhere_ends_every_session_of_the_user(me: httpx.Client, service: RunningService) -> None:
    mine, other = [me, again(service, me), again(service, me)], service.user()
    assert not any(is_refused(one) for one in mine)
    assert me.post("/v1/auth/logout-all").status_code == 204
    for one in mine:
        assert is_refused(one)
        problem(refresh(one, tokens_of(one)["refresh_token"]), 401, "unauthorized")
    assert not is_refused(other)
    assert "logged_out_everywhere" in events(service, email_of(me))


def test_sessions_are_listed_with_their_clients(service: RunningService) -> None:
    me = service.user(headers={"User-Agent": "first/1"})
    other = again(service, me, headers={"User-Agent": "second/2" + "x" * 1000})
    found = listed(me)
    assert [set(one) for one in found] == [{"id", "created_at", "last_used_at", "ip", "user_agent", "current"}] * 2
    assert [(one["current"], str(one["user_agent"])[:8], one["ip"]) for one in found] == [
        (False, "second/2", "127.0.0.1"),
        (True, "first/1", "127.0.0.1"),
    ]
    assert len(str(found[0]["user_agent"])) == 255
    refresh(me, tokens_of(me)["refresh_token"])
    assert [one["current"] for one in listed(me)] == [True, False], "the most recently used comes first"
    assert tokens_of(other)["refresh_token"] not in me.get("/v1/auth/sessions").text


def test_session_is_ended_by_its_id(me: httpx.Client, service: RunningService) -> None:
    other = again(service, me)
    [theirs] = [one["id"] for one in listed(me) if not one["current"]]
    assert me.delete(f"/v1/auth/sessions/{theirs}").status_code == 204
    assert is_refused(other)
    problem(me.delete(f"/v1/auth/sessions/{theirs}"), 404, "not-found")
    assert len(listed(me)) == 1
    assert "session_ended" in events(service, email_of(me))


def test_session_of_another_user_is_not_found(service: RunningService) -> None:
    alice, bob = service.user(), service.user()
    [session] = listed(alice)
    answers = [bob.delete(f"/v1/auth/sessions/{one}") for one in (session["id"], UNKNOWN, "x", "%00", f"{{{UNKNOWN}}}")]
    bodies = [problem(answer, 404, "not-found") for answer in answers]
    assert len({body["detail"] for body in bodies}) == 1
    assert not is_refused(alice)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "me"),
        ("PATCH", "me"),
        ("DELETE", "me"),
        ("POST", "password"),
        ("POST", "logout"),
        ("POST", "logout-all"),
        ("GET", "sessions"),
        ("DELETE", f"sessions/{UNKNOWN}"),
        ("GET", "api-keys"),
        ("POST", "api-keys"),
        ("DELETE", f"api-keys/{UNKNOWN}"),
    ],
)
def test_request_without_credentials_is_refused(anonymous: httpx.Client, method: str, path: str) -> None:
    answer = anonymous.request(method, f"/v1/auth/{path}", json={} if method in ("POST", "PATCH") else None)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_number_of_sessions_is_bounded(make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_PER_USER", 5)
    user = make_user()
    made = [sessions.begin_session(user, UNKNOWN_CALLER)[0] for _ in range(4)]
    sessions.end_user_sessions(user.id, because="test", but=made[0].id)
    later = [sessions.begin_session(user, UNKNOWN_CALLER)[0] for _ in range(6)]
    kept = set(Session.objects.values_list("id", flat=True))
    assert kept == {one.id for one in later[-5:]}, "ended sessions are deleted first, then the least recently used"
    assert set(RefreshToken.objects.values_list("session_id", flat=True)) == kept


def test_tokens_are_not_in_the_repr(make_user: Callable[..., User]) -> None:
    _, tokens = sessions.begin_session(make_user(), UNKNOWN_CALLER)
    assert tokens.refresh_token not in repr(tokens)
    assert tokens.access_token not in repr(tokens)
