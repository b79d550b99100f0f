"""The canonical form of e-mail addresses."""

import unicodedata

EMAIL_MAX_LENGTH = 254  # RFC 5321: a path has at most 256 octets, angle brackets included


def canonical_email(address: str) -> str:
    """Return the form in which addresses are stored and compared: trimmed, NFKC, case folded."""
    # Mail servers may distinguish local parts by case, but two accounts that look alike would invite impersonation.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address.strip()).casefold())
