"""E-mail addresses: one canonical form, so that addresses which differ only in case are one account."""

import unicodedata

EMAIL_MAX_LENGTH = 254  # RFC 5321: a path is at most 256 octets, angle brackets included


def canonical_email(address: str) -> str:
    """The form in which addresses are stored and compared: trimmed, NFKC, case folded.

    Mail servers may tell local parts apart by case; people do not, and two accounts that look alike are a
    trap.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address.strip()).casefold())
