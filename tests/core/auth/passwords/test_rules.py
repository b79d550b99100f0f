"""Argon2id with configurable parameters, and rules for new passwords."""

from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.core.exceptions import ValidationError

from core.auth.passwords.rules import (
    MaximumLengthValidator,
    check_new_password,
    hash_new_password,
    hash_password,
    verify_and_upgrade,
)
from core.http.problems import ValidationFailed

GOOD = "Sturdy-horse-battery-9"


def test_hash_is_argon2id_with_owasps_minimum_parameters() -> None:
    encoded = hash_password(GOOD)
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(encoded) <= 128
    assert encoded != hash_password(GOOD)


def test_django_makes_and_checks_the_same_hashes() -> None:
    assert check_password(GOOD, hash_password(GOOD))
    assert verify_and_upgrade(GOOD, make_password(GOOD)) == (True, None)
    assert type(identify_hasher(hash_password(GOOD))).__name__ == "Argon2Hasher"


def test_wrong_password_is_refused() -> None:
    assert verify_and_upgrade("Sturdy-horse-battery-8", hash_password(GOOD)) == (False, None)


def test_hash_with_old_parameters_is_upgraded(settings: Any) -> None:
    before = hash_password(GOOD)
    settings.ARGON2_PASSES = 3
    assert verify_and_upgrade("Sturdy-horse-battery-8", before) == (False, None)
    is_right, upgraded = verify_and_upgrade(GOOD, before)
    assert is_right
    assert upgraded is not None
    assert upgraded.startswith("argon2$argon2id$v=19$m=19456,t=3,p=1$")
    assert verify_and_upgrade(GOOD, upgraded) == (True, None)


@pytest.mark.parametrize("encoded", ["", "!unusable", "plain text"])
def test_malformed_hash_matches_no_password(encoded: str) -> None:
    assert verify_and_upgrade(GOOD, encoded) == (False, None)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("Sh0rt-x", "password_too_short"),
        ("password123", "password_too_common"),
        ("4839201748", "password_entirely_numeric"),
        ("ada.lovelace", "password_too_similar"),
        ("S" * 128 + "!", "password_too_long"),
    ],
)
def test_weak_password_is_refused_with_pointer_and_code(password: str, code: str, settings: Any) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = [
        *settings.AUTH_PASSWORD_VALIDATORS,
        {"NAME": "core.auth.passwords.rules.MaximumLengthValidator"},
    ]
    with pytest.raises(ValidationFailed) as refused:
        check_new_password(password, email="ada.lovelace@example.org", pointer="#/new_password")
    assert code in {error["code"] for error in refused.value.errors}
    assert {error["pointer"] for error in refused.value.errors} == {"#/new_password"}
    assert all(password not in error["detail"] for error in refused.value.errors)


def test_refused_password_is_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.auth.passwords.rules.hash_password", None)
    with pytest.raises(ValidationFailed):
        hash_new_password("12345678", email="ada@example.org", pointer="#/password")


def test_longest_password_has_128_characters() -> None:
    validator = MaximumLengthValidator()
    validator.validate("x" * 128)
    with pytest.raises(ValidationError):
        validator.validate("x" * 129)
    assert "128" in validator.get_help_text()
