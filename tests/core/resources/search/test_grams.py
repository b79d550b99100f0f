"""The terms that the search index stores and those that a query looks up."""

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
def test_every_text_that_contains_a_query_has_its_terms(before: str, text: str, after: str, other: str) -> None:
    folded = text.casefold()
    assume(folded)
    for indexed in (trigrams(OWNER, before + text + after, other), trigrams(OWNER, other, before + text + after)):
        if len(folded) > 2:
            for owner in (OWNER, None):
                assert set(terms(matching(folded, owner))) <= indexed
        else:
            first, last = beginning_with(folded)
            assert any(first <= term <= last and term.startswith(folded) for term in indexed)


def test_owner_is_one_term_that_no_text_contains() -> None:
    mark = owner_mark(OWNER)
    assert len(mark) == 3
    assert mark == owner_mark(OWNER.hex) == owner_mark(str(OWNER)) != owner_mark(OTHER)
    assert mark in trigrams(OWNER, "a name")
    assert mark not in trigrams(OTHER, "a name", str(OWNER))
    assert matching("abc", OWNER) == f'"{mark}" AND "abc"'


def test_long_query_uses_only_some_of_its_terms() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(200))
    found = terms(matching(text, None))
    assert len(found) <= MOST_TERMS
    assert found[0] == text[:3]
    assert text.index(found[-1]) > 150, "the terms are spread over the whole text"


def test_quotes_are_escaped_and_repeated_terms_are_dropped() -> None:
    assert matching('a"b', None) == '"a""b"'
    assert matching("aaaaa", None) == '"aaa"'


def test_short_query_matches_the_beginnings_of_terms() -> None:
    assert beginning_with("x") == ("x", "x" + 2 * LAST_CHARACTER)
    assert beginning_with("ß".casefold()) == ("ss", "ss" + LAST_CHARACTER)
