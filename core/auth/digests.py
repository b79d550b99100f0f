"""Digests that the database stores instead of secrets."""

import hashlib

from django.utils.crypto import salted_hmac

DIGEST_LENGTH = 64


def secret_digest(secret: str) -> str:
    # Salt and stretching are unnecessary: every secret hashed here has 256 random bits.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def email_digest(canonical_email: str) -> str:
    """Return a hexadecimal digest that stands for an e-mail address, with or without an account."""
    # Keyed with SECRET_KEY. Otherwise a copy of the database would allow guessing addresses, and passwords that
    # people typed into the e-mail field.
    value = canonical_email.encode("utf-8", "surrogatepass")
    return salted_hmac("core.auth.email", value, algorithm="sha256").hexdigest()
