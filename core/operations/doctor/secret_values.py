"""Secrets: long enough, random, nobody else's, and none that is kept for longer than needed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from core.operations.doctor.findings import Finding, error, ok, warning

# 32 random bytes have far more in any notation: hexadecimal, of only 16 characters, comes nearest.
MINIMUM_DISTINCT_CHARACTERS = 10
MINIMUM_TOKEN_BYTES = 16
MAKE_ONE = "Make one with: openssl rand -base64 48"
# docker-compose.yml's, for a database that nobody reaches from outside.
PUBLISHED_DATABASE_PASSWORDS = {"agent-router", "postgres", "password"}


def check() -> Iterator[Finding]:
    """No finding repeats a secret."""
    yield from _token_secrets()
    yield from _metrics_token()
    yield from _database_password()
    yield from _settings_file()


def _token_secrets() -> Iterator[Finding]:
    secret, previous = settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS
    if secret in settings.PUBLISHED_SECRETS:
        yield error("JWT_SECRET is one that everybody can read in the repository", MAKE_ONE)
    elif len(secret.encode()) < settings.MINIMUM_SECRET_BYTES:
        yield error(f"JWT_SECRET has less than {settings.MINIMUM_SECRET_BYTES} bytes", MAKE_ONE)
    elif len(set(secret)) < MINIMUM_DISTINCT_CHARACTERS:
        yield warning("JWT_SECRET repeats few characters: it does not look random", MAKE_ONE)
    else:
        yield ok(f"JWT_SECRET has {len(secret.encode())} bytes")
    if previous and previous == secret:
        yield warning("JWT_SECRET_PREVIOUS is JWT_SECRET itself", "Empty it")
    elif previous:
        yield warning(
            "JWT_SECRET_PREVIOUS is set: tokens signed with the old secret are still accepted",
            f"Empty it {settings.ACCESS_TOKEN_TTL} s (ACCESS_TOKEN_TTL) after the change, and at once if it leaked",
        )


def _metrics_token() -> Iterator[Finding]:
    token = settings.METRICS_TOKEN
    if token and token in (settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS):
        yield error("METRICS_TOKEN is JWT_SECRET: the monitoring could sign access tokens", MAKE_ONE)
    elif token and len(token.encode()) < MINIMUM_TOKEN_BYTES:
        yield warning(f"METRICS_TOKEN has less than {MINIMUM_TOKEN_BYTES} bytes", MAKE_ONE)


def _database_password() -> Iterator[Finding]:
    if connection.vendor != "postgresql" or not settings.IS_PRODUCTION:
        return
    password = connection.settings_dict["PASSWORD"]
    if password in PUBLISHED_DATABASE_PASSWORDS:
        yield warning("The password in DB_DSN is one that everybody knows", "Change it: ALTER ROLE … PASSWORD …")


def _settings_file() -> Iterator[Finding]:
    name = os.environ.get("ENV_FILE")
    if name and stat.S_IMODE(Path(name).stat().st_mode) & 0o077:
        yield warning(f"{name} (ENV_FILE) holds secrets, and others on this machine may read it", f"chmod 600 {name}")
