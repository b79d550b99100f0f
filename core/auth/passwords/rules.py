"""Argon2id as Django keeps it, with parameters of the settings; and the rule that passwords have an end.

One encoded form for the API, the admin and `createsuperuser`. Parameters: OWASP Password Storage Cheat Sheet.
"""

import os
from base64 import b64encode
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from core.auth.models import User
from core.http.problems import FieldError, ValidationFailed

PASSWORD_MAX_LENGTH = 128


class Argon2Hasher(Argon2PasswordHasher):
    """Django's hasher.

    Its own parameters (100 MiB, 8 lanes) cost five times the time and memory of OWASP's.
    """

    @property
    def time_cost(self) -> int:  # type: ignore[override]
        return settings.ARGON2_PASSES

    @property
    def memory_cost(self) -> int:  # type: ignore[override]
        return settings.ARGON2_MEMORY_KIB

    # One lane: the pool has as many threads as it should use, and more lanes would make more.
    parallelism = 1


class MaximumLengthValidator:
    """Refuses passwords longer than anybody types, in the admin too: the API takes no longer ones."""

    def __init__(self, max_length: int = PASSWORD_MAX_LENGTH) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > self.max_length:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return f"The password must contain at most {self.max_length} characters."


def check_new_password(password: str, *, email: str, pointer: str) -> None:
    """Django's validators; raises ValidationFailed that points to the field.

    Some 5 ms at worst: off the loop.
    """
    try:
        validate_password(password, User(email=email))
    except ValidationError as error:
        faults: list[FieldError] = [
            {"pointer": pointer, "detail": _told(fault), "code": fault.code or "invalid"} for fault in error.error_list
        ]
        raise ValidationFailed("The password is not good enough", errors=faults) from None


def _told(fault: ValidationError) -> str:
    return " ".join(fault.messages)


def hash_password(password: str) -> str:
    """A new hash with the current parameters. About 25 ms and ARGON2_MEMORY_KIB: off the loop."""
    return make_password(password)


def unmatched_hash() -> str:
    """What no password has for its hash. To check one against it takes as long as against any other."""
    hasher = Argon2Hasher()
    parameters = f"v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (b64encode(part).rstrip(b"=").decode() for part in (hasher.salt().encode(), os.urandom(32)))
    return f"{hasher.algorithm}$argon2id${parameters}${salt}${digest}"


def hash_new_password(password: str, *, email: str, pointer: str) -> str:
    """Checks, then hashes."""
    check_new_password(password, email=email, pointer=pointer)
    return hash_password(password)


def verify_and_upgrade(password: str, encoded: str) -> tuple[bool, str | None]:
    """Whether the password is right; and if it is, its new hash should the parameters have changed."""
    is_right, is_outdated = verify_password(password, encoded)
    return is_right, hash_password(password) if is_right and is_outdated else None
