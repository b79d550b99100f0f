"""Cursors, which only the list that created them accepts, and links to pages."""

import base64
import string
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from core.http.principal import Principal
from core.http.problems import ValidationFailed
from core.resources.lists.cursors import Order, binding, link_header, make_cursor, read_cursor
from tests.core.requests import make_request

ALPHABET = string.ascii_letters + string.digits + "-_"
ROW = "01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10"


def principal() -> Principal:
    user_id = uuid4()
    return Principal(user_id, str(user_id), is_staff=False, scopes=None, session_id=None, api_key_id=None)


ME = principal()
MINE = binding(ME, Order("-name"), b"[]")


def is_refused(cursor: str, bound_to: bytes = MINE) -> bool:
    with pytest.raises(ValidationFailed) as refusal:
        read_cursor(cursor, bound_to)
    [error] = refusal.value.errors
    return error["parameter"] == "cursor" and error["code"] == "cursor"


@given(value=st.text(max_size=200), row=st.uuids().map(str))
def test_cursor_round_trip(value: str, row: str) -> None:
    cursor = make_cursor(MINE, value, row)
    assert set(cursor) <= set(ALPHABET), "a cursor needs no escaping in a URL"
    assert read_cursor(cursor, MINE) == (value, row)


@given(place=st.integers(0, 10_000), character=st.sampled_from(ALPHABET + "+/=. \u00e9\0"))
def test_cursor_with_a_changed_character_is_refused(place: int, character: str) -> None:
    cursor = make_cursor(MINE, "a name", ROW)
    place %= len(cursor)
    forged = cursor[:place] + character + cursor[place + 1 :]
    assert forged == cursor or is_refused(forged)


@pytest.mark.parametrize("form", ["", "{0:.40}", "{0}A", "{0}=", "{0}{0}", " {0}"])
def test_cursor_of_another_length_is_refused(form: str) -> None:
    assert is_refused(form.format(make_cursor(MINE, "a name", ROW)))


def test_cursor_with_an_empty_signature_is_refused() -> None:
    assert is_refused(base64.urlsafe_b64encode(b"\0" * 16 + b'["a","b"]').decode().rstrip("="))


@pytest.mark.parametrize(
    "other",
    [
        binding(principal(), Order("-name"), b"[]"),
        binding(ME, Order("name"), b"[]"),
        binding(ME, Order("-name"), b'[["status",["active"]]]'),
    ],
    ids=["principal", "sort", "filters"],
)
def test_cursor_is_bound_to_principal_sort_and_filters(other: bytes) -> None:
    assert is_refused(make_cursor(MINE, "a name", ROW), other)
    assert is_refused(make_cursor(other, "a name", ROW))


def test_cursor_survives_one_secret_rotation(settings: Settings) -> None:
    cursor = make_cursor(MINE, "a name", ROW)
    settings.JWT_SECRET_PREVIOUS, settings.JWT_SECRET = settings.JWT_SECRET, "another" * 8
    assert read_cursor(cursor, MINE) == ("a name", ROW)
    settings.JWT_SECRET_PREVIOUS = ""
    assert is_refused(cursor)


def test_order_parses_the_sort_parameter() -> None:
    assert (Order("-created_at").field, Order("-created_at").is_descending) == ("created_at", True)
    assert (Order("name").field, Order("name").is_descending) == ("name", False)


def test_links_are_absolute_and_keep_the_query() -> None:
    request = make_request(("host", "api.example:8000"))
    pairs = [("status", "draft"), ("status", "active"), ("q", "a&b c")]
    query = "status=draft&status=active&q=a%26b+c"
    base = "http://api.example:8000/v1/items/?"
    first = f'<{base}{query}>; rel="first"'
    assert link_header(request, pairs, None) == first
    assert link_header(request, pairs, "CuR_s-0r") == f'{first}, <{base}{query}&cursor=CuR_s-0r>; rel="next"'


def test_links_of_a_list_without_parameters() -> None:
    request = make_request(("host", "api.example"), path="/v1/items")
    request.is_https = True
    assert link_header(request, [], None) == '<https://api.example/v1/items>; rel="first"'
    assert '<https://api.example/v1/items?cursor=x>; rel="next"' in link_header(request, [], "x")
