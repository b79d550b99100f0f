"""Settings, secrets, proxies: what is let pass and what is not."""

import os
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core import checks
from django.db import connection
from pytest_django import Settings

from core.http.forwarded import TrustedProxies
from core.operations.doctor import configuration, proxies, secret_values
from core.operations.doctor.findings import Level
from tests.core.operations.doctor.findings_of import complaints, the_one

GOOD = "Zm9ydHktdHdvIHJhbmRvbSBieXRlcywgb3Igc28gaXQgc2VlbXM"


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A production service with which nothing is wrong."""
    monkeypatch.delenv("ENV_FILE", raising=False)
    settings.IS_PRODUCTION = True
    settings.APP_ENV = "production"
    settings.ALLOWED_HOSTS = ["api.example.org"]
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.METRICS_TOKEN = "a token that is long enough"
    settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS = GOOD, ""
    settings.TRUSTED_PROXIES = TrustedProxies(networks=(ip_network("10.0.0.0/8"),))
    return settings


def test_nothing_is_wrong_with_good_settings(production: Settings) -> None:
    for check in (configuration.check, secret_values.check, proxies.check):
        assert complaints(check) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ALLOWED_HOSTS", ["localhost", "127.0.0.1"], "names this machine alone"),
        ("CORS_ALLOWED_ORIGINS", ["http://app.example.org"], "lets http://app.example.org in"),
        ("LOG_LEVEL", "DEBUG", "LOG_LEVEL is DEBUG"),
    ],
)
def test_unwise_settings_are_told(production: Settings, name: str, value: object, message: str) -> None:
    setattr(production, name, value)
    assert message in the_one(configuration.check, Level.WARNING).message


def test_open_metrics_are_mentioned(production: Settings) -> None:
    production.METRICS_TOKEN = ""
    assert "/metrics" in the_one(configuration.check, Level.INFO).message


@pytest.mark.parametrize(
    ("make", "level"), [(checks.Error, Level.ERROR), (checks.Warning, Level.WARNING), (checks.Info, Level.INFO)]
)
def test_system_checks_are_told(
    production: Settings, monkeypatch: pytest.MonkeyPatch, make: Callable[..., checks.CheckMessage], level: Level
) -> None:
    monkeypatch.setattr(checks, "run_checks", lambda **_: [make("so it is", hint="do this", id="x.1")])
    found = the_one(configuration.check, level)
    assert (found.message, found.remedy) == ("x.1: so it is", "do this")


@pytest.mark.parametrize(
    ("secret", "level", "message"),
    [
        ("change-me-to-a-secret-of-at-least-32-bytes", Level.ERROR, "everybody can read"),
        ("short", Level.ERROR, "less than 32 bytes"),
        ("abcabcabc" * 5, Level.WARNING, "does not look random"),
    ],
)
def test_weak_secret_is_told_and_not_repeated(production: Settings, secret: str, level: Level, message: str) -> None:
    production.JWT_SECRET = secret
    found = the_one(secret_values.check, level)
    assert message in found.message
    assert secret not in found.message + found.remedy


@pytest.mark.parametrize(("previous", "message"), [(GOOD, "is JWT_SECRET itself"), (GOOD[::-1], "still accepted")])
def test_previous_secret_is_not_left_in_place(production: Settings, previous: str, message: str) -> None:
    production.JWT_SECRET_PREVIOUS = previous
    assert message in the_one(secret_values.check, Level.WARNING).message


def test_token_for_metrics_is_one_of_its_own(production: Settings) -> None:
    production.METRICS_TOKEN = GOOD
    assert "could sign access tokens" in the_one(secret_values.check, Level.ERROR).message
    production.METRICS_TOKEN = "short"
    assert "METRICS_TOKEN has less" in the_one(secret_values.check, Level.WARNING).message


def test_password_that_everybody_knows_is_told(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "postgresql")
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "agent-router")
    assert "everybody knows" in the_one(secret_values.check, Level.WARNING).message
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", GOOD)
    assert complaints(secret_values.check) == []


def test_settings_file_is_private(production: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(0o644)
    monkeypatch.setitem(os.environ, "ENV_FILE", str(file))
    assert "others on this machine may read it" in the_one(secret_values.check, Level.WARNING).message
    file.chmod(0o600)
    assert complaints(secret_values.check) == []


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (TrustedProxies(networks=(ip_network("0.0.0.0/0"),)), Level.ERROR),
        (TrustedProxies(networks=(ip_network("::/0"),)), Level.ERROR),
        (TrustedProxies(hops=2), Level.INFO),
        (TrustedProxies(), Level.WARNING),
    ],
)
def test_trusted_proxies_are_judged(production: Settings, value: TrustedProxies, level: Level) -> None:
    production.TRUSTED_PROXIES = value
    assert "TRUSTED_PROXIES" in the_one(proxies.check, level).message


def test_no_proxy_is_fine_at_home(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = TrustedProxies()
    assert complaints(proxies.check) == []
