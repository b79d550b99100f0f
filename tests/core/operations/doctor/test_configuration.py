"""The doctor checks settings, secrets and proxies."""

import os
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core import checks
from django.db import connection
from pytest_django import Settings

from core.http.forwarded import TrustedProxies
from core.operations.doctor import configuration, secret_values
from core.operations.doctor.findings import Level
from tests.core.operations.doctor.findings_of import complaints, the_one

GOOD = "Zm9ydHktdHdvIHJhbmRvbSBieXRlcywgb3Igc28gaXQgc2VlbXM"


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a correct production service."""
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


def test_good_settings_have_no_findings(production: Settings) -> None:
    for check in (configuration.check, secret_values.check, configuration.check_proxies):
        assert complaints(check) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ALLOWED_HOSTS", ["localhost", "127.0.0.1"], "contains only this machine"),
        ("CORS_ALLOWED_ORIGINS", ["http://app.example.org"], "allows http://app.example.org"),
        ("LOG_LEVEL", "DEBUG", "LOG_LEVEL is DEBUG"),
    ],
)
def test_unsafe_setting_is_a_warning(production: Settings, name: str, value: object, message: str) -> None:
    setattr(production, name, value)
    assert message in the_one(configuration.check, Level.WARNING).message


def test_unprotected_metrics_are_reported(production: Settings) -> None:
    production.METRICS_TOKEN = ""
    assert "/metrics" in the_one(configuration.check, Level.INFO).message


@pytest.mark.parametrize(
    ("make", "level"), [(checks.Error, Level.ERROR), (checks.Warning, Level.WARNING), (checks.Info, Level.INFO)]
)
def test_system_checks_are_reported(
    production: Settings, monkeypatch: pytest.MonkeyPatch, make: Callable[..., checks.CheckMessage], level: Level
) -> None:
    monkeypatch.setattr(checks, "run_checks", lambda **_: [make("a problem", hint="do this", id="x.1")])
    found = the_one(configuration.check, level)
    assert (found.message, found.remedy) == ("x.1: a problem", "do this")


@pytest.mark.parametrize(
    ("secret", "level", "message"),
    [
        ("change-me-to-a-secret-of-at-least-32-bytes", Level.ERROR, "published in the repository"),
        ("short", Level.ERROR, "less than 32 bytes"),
        ("abcabcabc" * 5, Level.WARNING, "does not look random"),
    ],
)
def test_weak_secret_is_reported_but_not_shown(production: Settings, secret: str, level: Level, message: str) -> None:
    production.JWT_SECRET = secret
    found = the_one(secret_values.check, level)
    assert message in found.message
    assert secret not in found.message + found.remedy


@pytest.mark.parametrize(("previous", "message"), [(GOOD, "equals JWT_SECRET"), (GOOD[::-1], "still accepted")])
def test_previous_secret_is_a_warning(production: Settings, previous: str, message: str) -> None:
    production.JWT_SECRET_PREVIOUS = previous
    assert message in the_one(secret_values.check, Level.WARNING).message


def test_metrics_token_must_be_long_and_distinct(production: Settings) -> None:
    production.METRICS_TOKEN = GOOD
    assert "could sign access tokens" in the_one(secret_values.check, Level.ERROR).message
    production.METRICS_TOKEN = "short"
    assert "METRICS_TOKEN has less" in the_one(secret_values.check, Level.WARNING).message


def test_known_database_password_is_a_warning(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "postgresql")
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "agent-router")
    assert "widely known" in the_one(secret_values.check, Level.WARNING).message
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", GOOD)
    assert complaints(secret_values.check) == []


def test_readable_settings_file_is_a_warning(
    production: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(0o644)
    monkeypatch.setitem(os.environ, "ENV_FILE", str(file))
    assert "Other users of this machine can read" in the_one(secret_values.check, Level.WARNING).message
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
def test_trusted_proxies_are_checked(production: Settings, value: TrustedProxies, level: Level) -> None:
    production.TRUSTED_PROXIES = value
    assert "TRUSTED_PROXIES" in the_one(configuration.check_proxies, level).message


def test_no_proxy_is_fine_in_development(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = TrustedProxies()
    assert complaints(configuration.check_proxies) == []
