"""API keys over HTTP: created, used, limited by scopes and revoked."""

import hashlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.core.auth.calls import at_once, email_of, events, is_refused, make_key, problem, query, within_a_second
from tests.running_service import RunningService

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def listed(me: httpx.Client) -> list[dict[str, Any]]:
    answer = me.get("/v1/auth/api-keys")
    assert set(answer.json()) == {"api_keys"}
    return list(answer.json()["api_keys"])


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_key_is_shown_once_and_works(me: httpx.Client, service: RunningService) -> None:
    answer = me.post("/v1/auth/api-keys", json={"name": "  nightly ", "scopes": ["items:write", "items:read"] * 2})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert re.fullmatch(r"ar_[a-z0-9]{12}_[A-Za-z0-9]{43}", made["key"])
    assert made["key"].split("_")[1] == made["prefix"]
    robot = service.client(headers={"Authorization": f"Bearer {made['key']}"})
    created = robot.post("/v1/items/", json={"name": "by a robot"})
    assert created.status_code == 201
    assert me.get(f"/v1/items/{created.json()['id']}").status_code == 200
    [key] = listed(me)
    assert set(key) == {"id", "name", "scopes", "prefix", "expires_at", "created_at", "last_used_at"}
    assert (key["name"], key["scopes"], key["expires_at"]) == ("nightly", ["items:read", "items:write"], None)
    assert key | {"key": made["key"], "last_used_at": None} == made
    assert made["key"].split("_")[2] not in me.get("/v1/auth/api-keys").text
    assert "api_key_made" in events(service, email_of(me))


def test_key_is_stored_as_a_digest(me: httpx.Client, service: RunningService) -> None:
    made, robot = make_key(service, me, "items:read")
    assert not is_refused(robot)
    secret = made["key"].split("_")[2]
    stored = service.stored()
    assert secret.encode() not in stored
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored
    assert secret not in service.log


@pytest.mark.parametrize("scope", ["items:read", "items:write"])
def test_key_may_do_only_what_its_scope_allows(me: httpx.Client, service: RunningService, scope: str) -> None:
    _, robot = make_key(service, me, scope)
    path = f"/v1/items/{me.post('/v1/items/', json={'name': 'x'}).json()['id']}"
    reads = [robot.get("/v1/items/"), robot.get(path)]
    writes = [
        robot.post("/v1/items/", json={"name": "y"}),
        robot.put(path, json={"name": "y"}),
        robot.patch(path, json={"name": "z"}),
        robot.delete(path),
    ]
    allowed, refused = (reads, writes) if scope == "items:read" else (writes, reads)
    assert all(answer.status_code in (200, 201, 204) for answer in allowed)
    for answer in refused:
        problem(answer, 403, "insufficient-scope")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


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
def test_key_cannot_manage_accounts(me: httpx.Client, service: RunningService, method: str, path: str) -> None:
    _, robot = make_key(service, me, "items:read", "items:write")
    body = {"name": "x", "scopes": ["items:read"]} if method in ("POST", "PATCH") else None
    problem(robot.request(method, f"/v1/auth/{path}", json=body), 403, "forbidden")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "#/name"),
        ({"name": "   "}, "#/name"),
        ({"name": "x" * 101}, "#/name"),
        ({"name": None}, "#/name"),
        ({"scopes": ["items:admin"]}, "#/scopes/0"),
        ({"scopes": []}, "#/scopes"),
        ({"scopes": "items:read"}, "#/scopes"),
        ({"scopes": ["items:read"] * 101}, "#/scopes"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "#/expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, "#/expires_at"),
        ({"expires_at": "2100-01-01"}, "#/expires_at"),
        ({"expires_at": 4102444800}, "#/expires_at"),
        ({"expires_at": "4102444800"}, "#/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "#/expires_at"),
        ({"expires_at": "soon"}, "#/expires_at"),
        ({"expires_at": "2100-13-01T00:00:00Z"}, "#/expires_at"),
        ({"user_id": UNKNOWN}, "#/user_id"),
        ({"prefix": "abcdefgh1234"}, "#/prefix"),
    ],
    ids=str,
)
def test_invalid_key_is_refused(me: httpx.Client, fields: dict[str, Any], pointer: str) -> None:
    answer = me.post("/v1/auth/api-keys", json={"name": "x", "scopes": ["items:read"], **fields})
    assert {error["pointer"] for error in problem(answer, 422, "validation-error")["errors"]} == {pointer}
    assert listed(me) == []


@pytest.mark.parametrize("moment", ["2100-01-01T00:00:00Z", "2100-01-01T02:00:00.000+02:00", "2100-01-01t00:00:00z"])
def test_expiry_is_returned_in_utc(me: httpx.Client, moment: str) -> None:
    answer = me.post("/v1/auth/api-keys", json={"name": "x", "scopes": ["items:read"], "expires_at": moment})
    assert answer.json()["expires_at"] == "2100-01-01T00:00:00.000000Z"


def test_expired_key_is_refused(me: httpx.Client, service: RunningService) -> None:
    end = time.time() + 1.5
    _, robot = make_key(service, me, "items:read", expires_at=in_seconds(1.5))
    assert not is_refused(robot)
    while not is_refused(robot):
        assert time.time() < end + 0.5, "a cached result must not outlive the key"
    assert len(listed(me)) == 1, "expired keys stay listed"


def test_revoked_key_is_refused_at_once_and_not_listed(me: httpx.Client, service: RunningService) -> None:
    made, robot = make_key(service, me, "items:read")
    assert not is_refused(robot)
    assert me.delete(f"/v1/auth/api-keys/{made['id']}").status_code == 204
    assert is_refused(robot)
    assert listed(me) == []
    problem(me.delete(f"/v1/auth/api-keys/{made['id']}"), 404, "not-found")
    assert "api_key_revoked" in events(service, email_of(me))


def test_key_of_another_user_is_not_found(service: RunningService) -> None:
    alice, bob = service.user(), service.user()
    made, robot = make_key(service, alice, "items:read")
    for one in (made["id"], UNKNOWN, "x", made["id"].replace("-", "")):
        problem(bob.delete(f"/v1/auth/api-keys/{one}"), 404, "not-found")
    assert not is_refused(robot)
    assert listed(bob) == []


def test_key_outlives_sessions_and_passwords_but_not_its_user(me: httpx.Client, service: RunningService) -> None:
    _, robot = make_key(service, me, "items:read")
    assert me.post("/v1/auth/logout-all").status_code == 204
    assert not is_refused(robot)
    query(service, "UPDATE accounts_user SET is_active = false WHERE email = ?", email_of(me))
    assert within_a_second(lambda: is_refused(robot))


def test_ended_session_cannot_create_a_key(me: httpx.Client, service: RunningService) -> None:
    """Another process may accept the access token of the ended session for up to a second."""
    assert not is_refused(me)
    query(
        service,
        "UPDATE accounts_session SET revoked_at = '2020-01-01 00:00:00' WHERE user_id ="
        " (SELECT id FROM accounts_user WHERE email = ?)",
        email_of(me),
    )
    answer = me.post("/v1/auth/api-keys", json={"name": "x", "scopes": ["items:read"]})
    problem(answer, 401, "unauthorized")


def test_use_of_a_key_is_saved_in_the_background(start: Callable[..., RunningService]) -> None:
    service = start()
    me = service.user()
    _, robot = make_key(service, me, "items:read")
    for _ in range(20):
        assert robot.get("/v1/items/").status_code == 200
    service.stop()
    [(used, ips)] = query(service, "SELECT last_used_at, known_ips FROM accounts_apikey")
    assert used is not None
    assert ips == "127.0.0.1"
    assert "api_key_used_from_new_address" in events(service, email_of(me))


def test_number_of_keys_is_bounded(me: httpx.Client, service: RunningService) -> None:
    [[user]] = query(service, "SELECT id FROM accounts_user WHERE email = ?", email_of(me))
    digits = UUID(str(user)).hex
    for number in range(97):
        query(
            service,
            "INSERT INTO accounts_apikey (id, user_id, name, prefix, digest, scopes, created_at, known_ips)"
            " VALUES (?, ?, 'x', ?, '', '', '2026-01-01 00:00:00', '')",
            f"{digits[:24]}{number:08x}",
            digits,
            f"{digits[-8:]}{number:04}",
        )
    answers = at_once([lambda: me.post("/v1/auth/api-keys", json={"name": "x", "scopes": ["items:read"]})] * 6)
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    made = next(answer.json() for answer in answers if answer.status_code == 201)
    assert me.delete(f"/v1/auth/api-keys/{made['id']}").status_code == 204
    make_key(service, me, "items:read")
