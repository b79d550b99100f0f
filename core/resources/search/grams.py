"""Trigrams for SQLite's index: those of an indexed text, and those that a search looks up.

Python folds the case, like the query's own condition, because SQLite folds ß and İ differently.
"""

from collections.abc import Iterable
from uuid import UUID

# Completes a trigram for each of the last two characters, so that searches for one or two characters find them.
END = "\n\n"
# More terms make a search slower and leave hardly fewer candidates.
MOST_TERMS = 5
LAST_CHARACTER = "\U0010ffff"
# The private use planes, which texts do not use.
_MARK_BASE = 0xF0000


def owner_mark(owner_id: UUID | str) -> str:
    """Return an owner as one trigram, from the last 48 bits of the id. Raises ValueError for a malformed id."""
    digits = str(owner_id).replace("-", "")[-12:]
    return "".join(chr(_MARK_BASE + int(digits[start : start + 4], 16)) for start in (0, 4, 8))


def indexed_texts(owner_id: str, texts: Iterable[bytes]) -> tuple[str, ...]:
    """Return the columns of an indexed row from its texts in UTF-8. Invalid UTF-8 yields no trigrams of text."""
    try:
        mark = owner_mark(owner_id)
    except ValueError:  # another program wrote a row without a valid owner
        mark = ""
    folded = (text.decode(errors="replace").casefold() for text in texts)
    # The tokenizer stops at a NUL.
    return (mark, *(text.replace("\0", " ") + END for text in folded))


def matching(folded: str, owner_id: UUID | None) -> str:
    """Return the FTS5 expression for rows of an owner, or of all, with a folded text of three or more characters."""
    trigrams = list(dict.fromkeys(folded[start : start + 3] for start in range(len(folded) - 2)))
    step = max(1, -(-len(trigrams) // MOST_TERMS))
    terms = trigrams[::step] if owner_id is None else [owner_mark(owner_id), *trigrams[::step]]
    return " AND ".join('"' + term.replace('"', '""') + '"' for term in terms)


def beginning_with(folded: str) -> tuple[str, str]:
    """Return the first and the last possible trigram that starts with a folded text of one or two characters."""
    return folded, folded.ljust(3, LAST_CHARACTER)
