"""What goes into the index and what is looked up there."""

import uuid

from hypothesis import assume, given
from hypothesis import strategies as st

from core.resources.search.grams import LAST_CHARACTER, MOST_TERMS, beginning_with, indexed_texts, matching, owner_mark

OWNER, OTHER = uuid.UUID(int=0x0193_0000_0000_7000_8000_1234_5678_9ABC), uuid.UUID(int=7)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30) | st.text(
    st.sampled_from("aA%_\"' \nßẞſsSéİıiIΣσς\U0010ffff漢字"), max_size=8
)


def trigrams(owner: uuid.UUID, *given_texts: str) -> set[str]:
    indexed = indexed_texts(owner.hex, [text.encode() for text in given_texts])
    return {text[n : n + 3] for text in indexed for n in range(len(text) - 2)}


def terms(expression: str) -> list[str]:
    return [term[1:-1].replace('""', '"') for term in expression.split(" AND ")] if expression else []


@given(before=texts, text=texts, after=texts, other=texts)
def test_terms_of_a_text_are_in_whatever_contains_it(before: str, text: str, after: str, other: str) -> None:
    folded = text.casefold()
    assume(folded)
    for indexed in (trigrams(OWNER, before + text + after, other), trigrams(OWNER, other, before + text + after)):
        if len(folded) > 2:
            for owner in (OWNER, None):
                assert set(terms(matching(folded, owner))) <= indexed
        else:
            first, last = beginning_with(folded)
            assert any(first <= term <= last and term.startswith(folded) for term in indexed)


def test_owner_is_one_term_that_no_text_has() -> None:
    mark = owner_mark(OWNER)
    assert len(mark) == 3
    assert mark == owner_mark(OWNER.hex) == owner_mark(str(OWNER)) != owner_mark(OTHER)
    assert mark in trigrams(OWNER, "a name")
    assert mark not in trigrams(OTHER, "a name", str(OWNER))
    assert matching("abc", OWNER) == f'"{mark}" AND "abc"'


def test_long_texts_are_looked_up_by_some_of_their_terms() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(200))
    found = terms(matching(text, None))
    assert len(found) <= MOST_TERMS
    assert found[0] == text[:3]
    assert text.index(found[-1]) > 150, "from all over the text"


def test_quotes_and_repetitions() -> None:
    assert matching('a"b', None) == '"a""b"'
    assert matching("aaaaa", None) == '"aaa"'


def test_short_texts_begin_terms() -> None:
    assert beginning_with("x") == ("x", "x" + 2 * LAST_CHARACTER)
    assert beginning_with("ß".casefold()) == ("ss", "ss" + LAST_CHARACTER)
