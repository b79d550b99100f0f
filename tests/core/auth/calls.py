"""Requests to a running service for the tests of accounts, and checks of the responses."""

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg

from tests.running_service import PASSWORD, RunningService

WRONG = "Wrong-" + PASSWORD


def new_address() -> str:
    return f"{secrets.token_hex(8)}@example.org"


def register(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/v1/auth/register", json={"email": new_address(), "password": PASSWORD, **fields})


def log_in(client: httpx.Client, email: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/v1/auth/login", json={"email": email, "password": password})


def refresh(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/v1/auth/refresh", json={"refresh_token": token}, headers={"Authorization": ""})


def email_of(me: httpx.Client) -> str:
    return str(me.email)  # type: ignore[attr-defined]


def tokens_of(me: httpx.Client) -> dict[str, Any]:
    return dict(me.tokens)  # type: ignore[attr-defined]


def again(service: RunningService, me: httpx.Client, **options: Any) -> httpx.Client:
    """Return a client of the same user with a new session."""
    return service.log_in(email_of(me), PASSWORD, **options)


def hold(me: httpx.Client, tokens: dict[str, Any]) -> httpx.Client:
    """Make the client use these tokens."""
    me.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    me.tokens = tokens  # type: ignore[attr-defined]
    return me


def make_key(
    service: RunningService, me: httpx.Client, *scopes: str, **fields: Any
) -> tuple[dict[str, Any], httpx.Client]:
    """Create an API key. Return the response's body and a client that uses the key."""
    made = me.post("/v1/auth/api-keys", json={"name": "key", "scopes": list(scopes), **fields})
    assert made.status_code == 201, made.text
    return made.json(), service.client(headers={"Authorization": f"Bearer {made.json()['key']}"})


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check the status and type of a problem, and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{slug}"
    return body


def is_refused(me: httpx.Client) -> bool:
    """Return whether the service refuses the client's credentials."""
    answer = me.get("/v1/items/")
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    return answer.status_code == 401


def within_a_second(check: Callable[[], bool]) -> bool:
    """Return whether the check succeeds within a second."""
    deadline = time.monotonic() + 1
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def at_once[T](calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same time, each in its own thread."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def query(service: RunningService, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement on the service's database and return its rows."""
    dsn = service.environment["DB_DSN"]
    if dsn.startswith("postgresql:"):
        with psycopg.connect(dsn) as postgres:
            cursor = postgres.execute(sql.replace("?", "%s"), parameters)
            return cursor.fetchall() if cursor.description else []
    connection = sqlite3.connect(service.folder / "app.db", timeout=10)
    try:
        with connection:
            return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def events(service: RunningService, email: str) -> list[str]:
    """Return the kinds of a user's audit events in order."""
    whose = "(SELECT id FROM accounts_user WHERE email = ?)"
    found = query(service, f"SELECT event FROM accounts_auditevent WHERE user_id = {whose} ORDER BY id", email)
    return [event for (event,) in found]
