"""Secrets: length, randomness, known values, and retired secrets that are still accepted."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from core.operations.doctor.findings import Finding, error, ok, warning

# 32 random bytes have more distinct characters in every notation. Hexadecimal has the fewest: 16 are possible.
MINIMUM_DISTINCT_CHARACTERS = 10
MINIMUM_TOKEN_BYTES = 16
GENERATE = "Generate a new value: openssl rand -base64 48"
# docker-compose.yml uses the first, for a database without access from outside.
PUBLISHED_DATABASE_PASSWORDS = {"agent-router", "postgres", "password"}


def check() -> Iterator[Finding]:
    """Check the secrets. No finding contains a secret."""
    yield from _jwt_secrets()
    yield from _metrics_token()
    yield from _database_password()
    yield from _settings_file()


def _jwt_secrets() -> Iterator[Finding]:
    secret, previous = settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS
    if secret in settings.PUBLISHED_SECRETS:
        yield error("JWT_SECRET is published in the repository", GENERATE)
    elif len(secret.encode()) < settings.MINIMUM_SECRET_BYTES:
        yield error(f"JWT_SECRET has less than {settings.MINIMUM_SECRET_BYTES} bytes", GENERATE)
    elif len(set(secret)) < MINIMUM_DISTINCT_CHARACTERS:
        yield warning("JWT_SECRET has few distinct characters and does not look random", GENERATE)
    else:
        yield ok(f"JWT_SECRET has {len(secret.encode())} bytes")
    if previous and previous == secret:
        yield warning("JWT_SECRET_PREVIOUS equals JWT_SECRET", "Empty JWT_SECRET_PREVIOUS")
    elif previous:
        yield warning(
            "JWT_SECRET_PREVIOUS is set: tokens signed with the old secret are still accepted",
            f"Empty it {settings.ACCESS_TOKEN_TTL} s (ACCESS_TOKEN_TTL) after the change, or at once if it leaked",
        )


def _metrics_token() -> Iterator[Finding]:
    token = settings.METRICS_TOKEN
    if token and token in (settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS):
        yield error("METRICS_TOKEN equals JWT_SECRET: the monitoring system could sign access tokens", GENERATE)
    elif token and len(token.encode()) < MINIMUM_TOKEN_BYTES:
        yield warning(f"METRICS_TOKEN has less than {MINIMUM_TOKEN_BYTES} bytes", GENERATE)


def _database_password() -> Iterator[Finding]:
    if connection.vendor != "postgresql" or not settings.IS_PRODUCTION:
        return
    if connection.settings_dict["PASSWORD"] in PUBLISHED_DATABASE_PASSWORDS:
        yield warning("The password in DB_DSN is widely known", "Change it: ALTER ROLE … PASSWORD …")


def _settings_file() -> Iterator[Finding]:
    name = os.environ.get("ENV_FILE")
    if name and stat.S_IMODE(Path(name).stat().st_mode) & 0o077:
        yield warning(
            f"Other users of this machine can read {name} (ENV_FILE), which holds secrets", f"chmod 600 {name}"
        )
