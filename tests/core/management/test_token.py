"""manage.py token and createsuperuser."""

from typing import Any

import httpx
import pytest

from tests.core.auth.calls import email_of, events, is_refused, query
from tests.running_service import PASSWORD, RunningService


def token(service: RunningService, *arguments: str) -> str:
    return service.manage("token", *arguments).stdout.strip()


def test_token_works_and_its_session_can_be_listed_and_ended(me: httpx.Client, service: RunningService) -> None:
    script = service.client(headers={"Authorization": f"Bearer {token(service, email_of(me).upper())}"})
    assert script.get("/v1/auth/me").json()["email"] == email_of(me)
    [session] = [one for one in me.get("/v1/auth/sessions").json()["sessions"] if not one["current"]]
    assert session["user_agent"] == "manage.py token"
    assert session["ip"] is None
    assert me.delete(f"/v1/auth/sessions/{session['id']}").status_code == 204
    assert is_refused(script)
    assert "token_made" in events(service, email_of(me))


def test_stdout_contains_only_the_token(me: httpx.Client, service: RunningService) -> None:
    done = service.manage("token", email_of(me))
    assert done.stdout.count("\n") == 1
    assert done.stdout.count(".") == 2


def test_token_expires_after_the_given_lifetime(me: httpx.Client, service: RunningService) -> None:
    script = service.client(headers={"Authorization": f"Bearer {token(service, email_of(me), '--ttl', '3')}"})
    assert not is_refused(script)
    while not is_refused(script):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody@example.org"], "there is no user with the e-mail nobody@example.org"),
        (["nobody@example.org", "--ttl", "0"], "--ttl must be from 1"),
        (["nobody@example.org", "--ttl", "99999999"], "--ttl must be from 1"),
        (["nobody@example.org", "--ttl", "soon"], "invalid int value"),
        ([], "the following arguments are required: email"),
    ],
)
def test_invalid_arguments_are_reported(service: RunningService, arguments: list[str], message: str) -> None:
    done = service.manage("token", *arguments, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_inactive_user_gets_no_token(me: httpx.Client, service: RunningService) -> None:
    query(service, "UPDATE accounts_user SET is_active = false WHERE email = ?", email_of(me))
    done = service.manage("token", email_of(me), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not active" in done.stderr


def test_second_superuser_with_the_same_email_is_refused(service: RunningService) -> None:
    environment: dict[str, Any] = {
        "DJANGO_SUPERUSER_EMAIL": "Boss@Example.org",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    service.manage("createsuperuser", "--noinput", **environment)
    for email in ("Boss@Example.org", "boss@example.ORG"):
        environment["DJANGO_SUPERUSER_EMAIL"] = email
        again = service.manage("createsuperuser", "--noinput", check=False, **environment)
        assert again.returncode == 1
        assert "already taken" in again.stderr
        assert "Traceback" not in again.stderr
    assert service.log_in("boss@example.org", PASSWORD).get("/v1/auth/me").status_code == 200


@pytest.mark.parametrize("name", ["DJANGO_SUPERUSER_EMAIL", "DJANGO_SUPERUSER_PASSWORD"])
def test_superuser_needs_email_and_password(service: RunningService, name: str) -> None:
    environment: dict[str, Any] = {
        "DJANGO_SUPERUSER_EMAIL": "other@example.org",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    del environment[name]
    done = service.manage("createsuperuser", "--noinput", check=False, **environment)
    assert done.returncode == 1 or name.endswith("PASSWORD")
    assert "Traceback" not in done.stderr
