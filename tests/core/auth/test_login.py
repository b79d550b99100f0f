"""Logging in: the service reveals no accounts, limits guessing, and keeps existing sessions valid."""

import os
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.core.auth.calls import (
    WRONG,
    at_once,
    email_of,
    events,
    is_refused,
    log_in,
    new_address,
    problem,
    query,
    refresh,
    register,
    tokens_of,
)
from tests.running_service import PASSWORD, STAFF_EMAIL, RunningService


def test_wrong_password_unknown_address_and_inactive_account_get_the_same_response(
    service: RunningService, anonymous: httpx.Client
) -> None:
    known, inactive = email_of(service.user()), email_of(service.user())
    query(service, "UPDATE accounts_user SET is_active = false WHERE email = ?", inactive)
    attempts = [(known, WRONG), (new_address(), WRONG), (inactive, PASSWORD), ("no address", WRONG), ("", "")]
    answers = [log_in(anonymous, *one) for one in attempts]
    bodies = [problem(answer, 401, "unauthorized") for answer in answers]
    for body in bodies:
        del body["request_id"]
    assert all(body == bodies[0] for body in bodies)
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


@pytest.mark.slow
def test_wrong_password_and_unknown_address_take_the_same_time(start: Callable[..., RunningService]) -> None:
    """Without the dummy hash, an unknown address would be about ten times as fast."""
    service = start()
    client = service.client()
    known = [new_address() for _ in range(12)]
    for email in known:
        assert register(client, email=email).status_code == 201
    ratios: list[float] = []
    while not any(0.9 < ratio < 1.1 for ratio in ratios):  # a busy machine can disturb a measurement
        assert len(ratios) < 3, ratios
        ratios.append(_ratio_of_medians(client, known))
        query(service, "DELETE FROM accounts_logintries")


def _ratio_of_medians(client: httpx.Client, known: list[str]) -> float:
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(200):
        exists = number % 2 == 0
        email = known[number // 2 % len(known)] if exists else new_address()
        began = time.perf_counter()
        assert log_in(client, email, WRONG).status_code == 401
        times[exists].append(time.perf_counter() - began)
    return statistics.median(times[True]) / statistics.median(times[False])


@pytest.mark.parametrize("exists", [True, False])
def test_ten_failures_lock_an_address(service: RunningService, anonymous: httpx.Client, exists: bool) -> None:
    email = email_of(service.user()) if exists else new_address()
    for number in range(10):
        problem(log_in(anonymous, email.upper() if number % 2 else email, WRONG), 401, "unauthorized")
    for password in (WRONG, PASSWORD):
        answer = log_in(anonymous, email, password)
        problem(answer, 429, "account-locked")
        assert 880 < int(answer.headers["retry-after"]) <= 900


def test_lock_ends_no_session(service: RunningService, anonymous: httpx.Client) -> None:
    me = service.user()
    for _ in range(11):
        log_in(anonymous, email_of(me), WRONG)
    assert not is_refused(me)
    assert refresh(me, tokens_of(me)["refresh_token"]).status_code == 200
    assert events(service, email_of(me))[2:-1] == ["log_in_failed"] * 10 + ["account_locked"]


def test_success_clears_the_failures(service: RunningService, anonymous: httpx.Client) -> None:
    email = email_of(service.user())
    for _ in range(3):
        for _ in range(9):
            problem(log_in(anonymous, email, WRONG), 401, "unauthorized")
        assert log_in(anonymous, email).status_code == 200


@pytest.mark.parametrize("exists", [True, False])
def test_only_ten_of_thirty_concurrent_attempts_are_verified(two_workers: RunningService, exists: bool) -> None:
    count = "SELECT count(*) FROM accounts_auditevent WHERE event = ?"
    kinds = ("log_in_failed", "account_locked")
    before = [query(two_workers, count, kind)[0][0] for kind in kinds]
    email = email_of(two_workers.user()) if exists else new_address()
    clients = [two_workers.client() for _ in range(30)]
    answers = at_once([partial(log_in, one, email, WRONG) for one in clients])
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 20
    after = [query(two_workers, count, kind)[0][0] for kind in kinds]
    assert after == [before[0] + 10, before[1] + 1]


def test_expired_lock_allows_login(service: RunningService, anonymous: httpx.Client) -> None:
    email = email_of(service.user())
    for _ in range(10):
        log_in(anonymous, email, WRONG)
    query(service, "UPDATE accounts_logintries SET locked_until = '2020-01-01 00:00:00' WHERE locked_until IS NOT NULL")
    assert log_in(anonymous, email).status_code == 200


def test_failure_is_recorded_without_the_unknown_address(service: RunningService, anonymous: httpx.Client) -> None:
    mistyped = "My-secret-password-in-the-wrong-field"
    log_in(anonymous, mistyped, WRONG)
    [row] = query(
        service,
        "SELECT * FROM accounts_auditevent WHERE event = 'log_in_failed' AND user_id IS NULL ORDER BY id DESC LIMIT 1",
    )
    assert mistyped.lower() not in str(row).lower()
    stored = service.stored().lower()
    assert mistyped.lower().encode() not in stored
    assert mistyped.lower() not in service.log.lower()


def test_login_upgrades_a_hash_with_old_parameters(start: Callable[..., RunningService]) -> None:
    service = start()
    email = email_of(service.user())
    service.stop()
    service.environment["ARGON2_PASSES"] = "3"
    service.start()
    with service.client() as client:
        problem(log_in(client, email, WRONG), 401, "unauthorized")
        assert hash_of(service, email).startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        assert log_in(client, email).status_code == 200
        assert hash_of(service, email).startswith("argon2$argon2id$v=19$m=19456,t=3,p=1$")
        assert log_in(client, email).status_code == 200


def hash_of(service: RunningService, email: str) -> str:
    [[encoded]] = query(service, "SELECT password FROM accounts_user WHERE email = ?", email)
    return str(encoded)


def test_deactivated_user_is_refused_within_a_second(service: RunningService, anonymous: httpx.Client) -> None:
    me = service.user()
    assert not is_refused(me)
    query(service, "UPDATE accounts_user SET is_active = false WHERE email = ?", email_of(me))
    deadline = time.monotonic() + 1
    while not is_refused(me):
        assert time.monotonic() < deadline
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    problem(log_in(anonymous, email_of(me)), 401, "unauthorized")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": STAFF_EMAIL},
        {"password": PASSWORD},
        {"email": STAFF_EMAIL, "password": PASSWORD, "scope": "admin"},
        {"email": [STAFF_EMAIL], "password": PASSWORD},
        {"email": {"$ne": ""}, "password": {"$ne": ""}},
        {"email": STAFF_EMAIL, "password": True},
        {"email": STAFF_EMAIL, "password": "x" * 2000},
        {"email__startswith": "staff", "password": PASSWORD},
    ],
    ids=str,
)
def test_malformed_body_is_422(anonymous: httpx.Client, body: dict[str, object]) -> None:
    problem(anonymous.post("/v1/auth/login", json=body), 422, "validation-error")


@pytest.mark.slow
def test_flood_of_logins_is_bounded_and_does_not_block_reads(start: Callable[..., RunningService]) -> None:
    """200 clients log in repeatedly while one client reads."""
    service = start(PASSWORD_HASHING_QUEUE="16")
    me = service.user()
    assert service.process is not None
    before = _resident_mib(service.process.pid)
    over, answers, waits = threading.Event(), [], []

    def flood() -> None:
        with service.client() as client:
            while not over.is_set():
                began = time.perf_counter()
                answer = log_in(client, new_address(), WRONG)
                answers.append(answer.status_code)
                if answer.status_code == 503:
                    waits.append(time.perf_counter() - began)
                    over.wait(int(answer.headers["retry-after"]))

    threads = [threading.Thread(target=flood) for _ in range(200)]
    for thread in threads:
        thread.start()
    times = []
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        began = time.perf_counter()
        assert me.get("/v1/items/").status_code == 200
        times.append(time.perf_counter() - began)
    grown = _resident_mib(service.process.pid) - before
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {401, 503}
    # The service shares the processors with this test's 200 threads. Without the bounds, every read takes seconds.
    assert statistics.median(times) < 0.5, sorted(times)[-10:]
    assert statistics.median(waits) < 1
    assert grown < 100, f"{grown:.0f} MiB more"


def _resident_mib(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
