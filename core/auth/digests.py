"""What is kept in the database in place of a secret."""

import hashlib

from django.utils.crypto import salted_hmac

DIGEST_LENGTH = 64


def secret_digest(secret: str) -> str:
    """SHA-256 as hexadecimal text. Without salt or stretching: what it is used for has 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def email_digest(canonical_email: str) -> str:
    """Stands for an address that may belong to nobody, as hexadecimal text.

    Keyed with SECRET_KEY, because addresses can be guessed, and because people type passwords into this
    field: neither may be found out from the tables of tries and audit events.
    """
    value = canonical_email.encode("utf-8", "surrogatepass")
    return salted_hmac("core.auth.email", value, algorithm="sha256").hexdigest()
