"""Rules for new passwords, and Argon2id hashing. The parameters follow OWASP's Password Storage Cheat Sheet."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from core.auth.models import User
from core.http.problems import FieldError, ValidationFailed

PASSWORD_MAX_LENGTH = 128


class Argon2Hasher(Argon2PasswordHasher):
    """Django's hasher, whose own parameters (100 MiB, 8 lanes) take five times OWASP's time and memory."""

    # One lane, because the pool already has a thread for each processor it may use.
    parallelism = 1

    @property
    def time_cost(self) -> int:  # type: ignore[override]
        return settings.ARGON2_PASSES

    @property
    def memory_cost(self) -> int:  # type: ignore[override]
        return settings.ARGON2_MEMORY_KIB


class MaximumLengthValidator:
    """A Django password validator that refuses long passwords, so that the admin and the API have the same limit."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > PASSWORD_MAX_LENGTH:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return f"The password must contain at most {PASSWORD_MAX_LENGTH} characters."


def check_new_password(password: str, *, email: str, pointer: str) -> None:
    """Raise ValidationFailed at the JSON pointer for a weak password. Takes up to 5 ms, so call it in a thread."""
    try:
        validate_password(password, User(email=email))
    except ValidationError as error:
        errors: list[FieldError] = [
            {"pointer": pointer, "detail": " ".join(one.messages), "code": one.code or "invalid"}
            for one in error.error_list
        ]
        raise ValidationFailed("The password is too weak", errors=errors) from None


def hash_password(password: str) -> str:
    """Hash a password. Takes about 25 ms and ARGON2_MEMORY_KIB, so call it in a thread."""
    return make_password(password)


def hash_new_password(password: str, *, email: str, pointer: str) -> str:
    check_new_password(password, email=email, pointer=pointer)
    return hash_password(password)


def make_dummy_hash() -> str:
    return hash_new_password(secrets.token_urlsafe(), email="", pointer="")


def verify_and_upgrade(password: str, encoded: str) -> tuple[bool, str | None]:
    """Return whether the password is correct, and a new hash if it is and the parameters have changed."""
    is_correct, is_outdated = verify_password(password, encoded)
    return is_correct, hash_password(password) if is_correct and is_outdated else None
