"""Digests that the database stores instead of secrets."""

import hashlib

from django.utils.crypto import salted_hmac

DIGEST_LENGTH = 64


def secret_digest(secret: str) -> str:
    """Return the SHA-256 digest in hexadecimal.

    Salt and stretching are unnecessary: every secret hashed here has 256 random bits.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def email_digest(canonical_email: str) -> str:
    """Return a digest, in hexadecimal, that stands for an e-mail address that may have no account.

    The digest is keyed with SECRET_KEY. Otherwise anybody with a copy of the database could guess addresses, and
    passwords that people typed into the e-mail field.
    """
    value = canonical_email.encode("utf-8", "surrogatepass")
    return salted_hmac("core.auth.email", value, algorithm="sha256").hexdigest()
