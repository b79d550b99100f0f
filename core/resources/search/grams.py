"""What of a text goes into an index of trigrams, and what of a search is looked up there. For SQLite.

Everything is folded by Python as the query's own condition folds it (core/database/case_folding.py): SQLite's folding
differs, in ß and İ for example.
"""

from collections.abc import Iterable
from uuid import UUID

# A trigram for each of a text's last two characters, too: searches of one or two characters find them by it.
END = "\n\n"
# More of them make a search slower, and its candidates hardly fewer.
MOST_TERMS = 5
LAST_CHARACTER = "\U0010ffff"
# Planes for private use, where no text has anything.
_MARK_BASE = 0xF0000


def owner_mark(owner_id: UUID | str) -> str:
    """An owner as one trigram: the last 48 bits of their id. Owners who share them share candidates, no more.

    Raises ValueError for an id that is none.
    """
    digits = str(owner_id).replace("-", "")[-12:]
    return "".join(chr(_MARK_BASE + int(digits[start : start + 4], 16)) for start in (0, 4, 8))


def indexed_texts(owner_id: str, texts: Iterable[bytes]) -> tuple[str, ...]:
    """The columns of an indexed row, of its texts in UTF-8. What is no text has none of the trigrams of one."""
    try:
        mark = owner_mark(owner_id)
    except ValueError:  # a row that is nobody's, made by who does not heed foreign keys
        mark = ""
    return (mark, *(_indexed(text.decode(errors="replace")) for text in texts))


def _indexed(text: str) -> str:
    # For the tokenizer a NUL is the end.
    return text.casefold().replace("\0", " ") + END


def matching(folded: str, owner_id: UUID | None) -> str:
    """The FTS5 expression for rows (of an owner) with all trigrams of a folded text of three characters or more."""
    trigrams = list(dict.fromkeys(folded[start : start + 3] for start in range(len(folded) - 2)))
    step = max(1, -(-len(trigrams) // MOST_TERMS))
    terms = trigrams[::step] if owner_id is None else [owner_mark(owner_id), *trigrams[::step]]
    return " AND ".join('"' + term.replace('"', '""') + '"' for term in terms)


def beginning_with(folded: str) -> tuple[str, str]:
    """The first and the last trigram that begins with a folded text of one or two characters."""
    return folded, folded.ljust(3, LAST_CHARACTER)
