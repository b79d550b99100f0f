"""Accounts over HTTP: registered, read, changed and deleted."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests.core.auth.calls import (
    WRONG,
    again,
    at_once,
    email_of,
    events,
    is_refused,
    log_in,
    make_key,
    new_address,
    problem,
    query,
    refresh,
    register,
    tokens_of,
    within_a_second,
)
from tests.running_service import PASSWORD, RunningService

NEW = "Another-" + PASSWORD


def pointers(answer: httpx.Response) -> set[str]:
    return {error["pointer"] for error in problem(answer, 422, "validation-error")["errors"]}


def test_registering_creates_a_user(anonymous: httpx.Client, service: RunningService) -> None:
    email = new_address()
    made = register(anonymous, email=email)
    assert made.status_code == 201
    assert set(made.json()) == {"id", "email", "created_at"}
    assert made.json()["email"] == email
    assert made.json()["created_at"].endswith("Z")
    assert made.headers["cache-control"] == "no-store"
    assert log_in(anonymous, email).status_code == 200
    assert events(service, email) == ["registered", "logged_in"]


def test_address_is_one_account_in_any_case(anonymous: httpx.Client) -> None:
    email = new_address()
    assert register(anonymous, email=email.upper()).json()["email"] == email
    problem(register(anonymous, email=email), 409, "conflict")
    assert log_in(anonymous, email.title()).status_code == 200


def test_one_of_many_concurrent_registrations_succeeds(two_workers: RunningService) -> None:
    email = new_address()
    clients = [two_workers.client() for _ in range(8)]
    answers = at_once([partial(register, one, email=email) for one in clients])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no-at-sign"),
        ("email", ""),
        ("email", "a@b@example.org"),
        ("email", "x" * 250 + "@example.org"),
        ("email", "a\u0000b@example.org"),
        ("email", 5),
        ("email", None),
        ("password", "Sh0rt-x"),
        ("password", "password123"),
        ("password", "4839201748"),
        ("password", "S" * 128 + "!"),
        ("password", "Sturdy\u0000horse-9"),
        ("password", None),
        ("password", ["x"]),
        ("is_staff", True),
        ("is_superuser", True),
        ("id", "01890000-0000-7000-8000-000000000000"),
    ],
)
def test_invalid_registration_names_the_field(anonymous: httpx.Client, field: str, value: Any) -> None:
    assert pointers(register(anonymous, **{field: value})) == {f"#/{field}"}


def test_unpaired_surrogate_is_refused(anonymous: httpx.Client) -> None:
    body = b'{"email": "ada@example.org", "password": "Sturdy-horse-\\ud800-9"}'
    answer = anonymous.post("/v1/auth/register", content=body, headers={"Content-Type": "application/json"})
    assert pointers(answer) == {"#/password"}


def test_password_similar_to_the_address_is_refused(anonymous: httpx.Client) -> None:
    assert pointers(register(anonymous, email="ada.lovelace@example.org", password="ada.lovelace")) == {"#/password"}


def test_password_of_128_characters_in_any_script_is_accepted(anonymous: httpx.Client) -> None:
    for password in ("S-" + secrets.token_hex(63), "пароль-длинный-🐎-батарея"):
        email = new_address()
        assert register(anonymous, email=email, password=password).status_code == 201
        assert log_in(anonymous, email, password).status_code == 200
        problem(log_in(anonymous, email, password[:-1]), 401, "unauthorized")


def test_refusal_does_not_repeat_the_password(anonymous: httpx.Client) -> None:
    for password in ("Sh0rt-x", "canary-" * 30):
        assert password not in register(anonymous, password=password).text


def test_closed_registration_is_403(start: Callable[..., RunningService]) -> None:
    service = start(REGISTRATION_OPEN="false")
    problem(register(service.client()), 403, "forbidden")
    assert service.staff().get("/v1/auth/me").status_code == 200


def test_account_is_shown(me: httpx.Client) -> None:
    answer = me.get("/v1/auth/me")
    assert (answer.status_code, answer.json()["email"]) == (200, email_of(me))
    assert answer.headers["cache-control"] == "no-store"


def change_email(me: httpx.Client, email: str, password: str = PASSWORD) -> httpx.Response:
    return me.patch("/v1/auth/me", json={"email": email, "current_password": password})


def test_address_is_changed_with_the_password(
    me: httpx.Client, anonymous: httpx.Client, service: RunningService
) -> None:
    before, after = email_of(me), new_address()
    assert change_email(me, after.upper()).json()["email"] == after
    problem(log_in(anonymous, before), 401, "unauthorized")
    assert log_in(anonymous, after).status_code == 200
    assert "email_changed" in events(service, after)
    assert me.get("/v1/auth/me").json()["email"] == after


def test_address_is_not_changed_without_the_password(me: httpx.Client) -> None:
    problem(change_email(me, new_address(), WRONG), 403, "forbidden")
    assert pointers(me.patch("/v1/auth/me", json={"email": new_address()})) == {"#/current_password"}
    assert me.get("/v1/auth/me").json()["email"] == email_of(me)


def test_address_of_another_user_is_refused(me: httpx.Client, service: RunningService) -> None:
    problem(change_email(me, email_of(service.user()).upper()), 409, "conflict")
    assert change_email(me, email_of(me)).status_code == 200


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "is_active", "id", "password", "created_at"])
def test_other_fields_cannot_be_changed(me: httpx.Client, field: str) -> None:
    body = {"email": new_address(), "current_password": PASSWORD, field: True}
    assert pointers(me.patch("/v1/auth/me", json=body)) == {f"#/{field}"}


def change_password(me: httpx.Client, new: str, current: str = PASSWORD) -> httpx.Response:
    return me.post("/v1/auth/password", json={"current_password": current, "new_password": new})


def test_new_password_ends_every_other_session(
    me: httpx.Client, anonymous: httpx.Client, service: RunningService
) -> None:
    other = again(service, me)
    assert not is_refused(other)
    answer = change_password(me, NEW)
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_refused(other), "the same process refuses it at once"
    problem(refresh(other, tokens_of(other)["refresh_token"]), 401, "unauthorized")
    assert not is_refused(me)
    assert refresh(me, tokens_of(me)["refresh_token"]).status_code == 200
    problem(log_in(anonymous, email_of(me)), 401, "unauthorized")
    assert log_in(anonymous, email_of(me), NEW).status_code == 200
    assert "password_changed" in events(service, email_of(me))


def test_password_is_not_changed_without_the_current_one(me: httpx.Client, anonymous: httpx.Client) -> None:
    problem(change_password(me, NEW, WRONG), 403, "forbidden")
    assert log_in(anonymous, email_of(me)).status_code == 200


@pytest.mark.parametrize("new", ["12345678", "short", "S" * 129, None])
def test_weak_new_password_is_refused(me: httpx.Client, anonymous: httpx.Client, new: Any) -> None:
    assert pointers(change_password(me, new)) == {"#/new_password"}
    assert log_in(anonymous, email_of(me)).status_code == 200


def test_current_password_cannot_be_guessed_with_a_stolen_token(
    me: httpx.Client, anonymous: httpx.Client, service: RunningService
) -> None:
    for number in range(10):
        answer = change_email(me, new_address(), WRONG) if number % 2 else change_password(me, NEW, WRONG)
        problem(answer, 403, "forbidden")
    for answer in (change_password(me, NEW), change_email(me, new_address()), log_in(anonymous, email_of(me))):
        problem(answer, 429, "account-locked")
        assert 0 < int(answer.headers["retry-after"]) <= 900
    assert events(service, email_of(me)).count("password_refused") == 10


def test_correct_password_never_counts_as_a_failure(me: httpx.Client, service: RunningService) -> None:
    taken = email_of(service.user())
    for _ in range(11):
        assert pointers(change_password(me, "short")) == {"#/new_password"}
        problem(change_email(me, taken), 409, "conflict")


def test_one_of_several_concurrent_password_changes_wins(me: httpx.Client, anonymous: httpx.Client) -> None:
    answers = [answer.status_code for answer in at_once([partial(change_password, me, f"{NEW}-{n}") for n in range(4)])]
    assert answers.count(204) >= 1
    assert set(answers) <= {204, 403, 409}
    good = [n for n in range(4) if log_in(anonymous, email_of(me), f"{NEW}-{n}").status_code == 200]
    assert len(good) == 1
    assert answers[good[0]] == 204


def test_deleting_an_account_deletes_everything_that_belongs_to_it(
    me: httpx.Client, anonymous: httpx.Client, service: RunningService
) -> None:
    other = again(service, me)
    [[user]] = query(service, "SELECT id FROM accounts_user WHERE email = ?", email_of(me))
    _, key = make_key(service, me, "items:read", "items:write")
    item = key.post("/v1/items/", json={"name": "mine"}).json()
    answer = me.delete("/v1/auth/me")
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_refused(me)
    assert is_refused(key)
    assert within_a_second(lambda: is_refused(other))
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    problem(log_in(anonymous, email_of(me)), 401, "unauthorized")
    for table, column in (("accounts_session", "user_id"), ("accounts_apikey", "user_id"), ("item", "owner_id")):
        assert query(service, f"SELECT count(*) FROM {table} WHERE {column} = ?", user) == [(0,)]
    assert service.staff().get(f"/v1/items/{item['id']}").status_code == 404
    recorded = query(service, "SELECT event FROM accounts_auditevent WHERE user_id = ? ORDER BY id", user)
    assert recorded[-1] == ("account_deleted",), "the audit log outlives the account"
    assert register(anonymous, email=email_of(me)).status_code == 201


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_work_with_and_without_a_slash(me: httpx.Client, slash: str) -> None:
    for path in ("me", "sessions", "api-keys"):
        assert me.get(f"/v1/auth/{path}{slash}").status_code == 200


def test_database_stores_only_a_strong_password_hash(service: RunningService, me: httpx.Client) -> None:
    stored = service.stored()
    assert PASSWORD.encode() not in stored
    [[encoded]] = query(service, "SELECT password FROM accounts_user WHERE email = ?", email_of(me))
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
