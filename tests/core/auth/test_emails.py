"""The canonical form and the digest of e-mail addresses."""

import pytest

from core.auth.digests import email_digest
from core.auth.emails import canonical_email


@pytest.mark.parametrize(
    "address",
    ["ada@example.org", "ADA@example.org", "ada@EXAMPLE.org", " Ada@Example.ORG ", "Ａda@example.org"],
)
def test_addresses_that_look_alike_are_equal(address: str) -> None:
    assert canonical_email(address) == "ada@example.org"


def test_canonical_form_is_stable() -> None:
    for address in ("STRASSE@straße.example", "İ@example.org", "ﬁ@example.org", "Σ@example.org"):
        once = canonical_email(address)
        assert canonical_email(once) == once


def test_email_digest_depends_on_the_secret_key(settings: pytest.FixtureRequest) -> None:
    before = email_digest("ada@example.org")
    settings.SECRET_KEY = "another" * 8  # type: ignore[attr-defined]
    assert email_digest("ada@example.org") != before


def test_email_digest_accepts_any_text() -> None:
    assert len(email_digest("\ud800")) == 64
