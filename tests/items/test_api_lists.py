"""Lists over HTTP: parameters, links, cursors and visibility."""

import re
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.items.http import ITEMS, create, path_of, validation_errors
from tests.running_service import RunningService


def page(client: httpx.Client, **params: Any) -> dict[str, Any]:
    response = client.get(ITEMS, params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [item["name"] for item in found["items"]]


def links(response: httpx.Response) -> dict[str, str]:
    return {rel: url for url, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', response.headers["link"])}


@pytest.fixture
def five(me: httpx.Client) -> list[dict[str, Any]]:
    return [create(me, name=f"item {number}") for number in range(5)]


def test_first_page_has_the_newest_twenty(me: httpx.Client) -> None:
    created = [create(me, name=f"{number}") for number in range(21)]
    response = me.get(ITEMS)
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.json()["items"] == created[:0:-1], "a list contains complete items"
    rest = page(me, cursor=response.json()["next_cursor"])
    assert rest == {"items": created[:1], "next_cursor": None}


def test_empty_list_has_no_next_page(me: httpx.Client, service: RunningService) -> None:
    response = me.get(ITEMS)
    assert response.json() == {"items": [], "next_cursor": None}
    assert links(response) == {"first": f"{service.url}{ITEMS}"}


def test_next_links_lead_through_the_list(me: httpx.Client, five: list[dict[str, Any]]) -> None:
    response = me.get(ITEMS, params={"sort": "name", "limit": 2, "q": "ITEM"})
    first, seen = links(response)["first"], names(response.json())
    while (url := links(response).get("next")) is not None:
        assert response.json()["next_cursor"] in url
        response = me.get(url)
        assert links(response)["first"] == first
        seen += names(response.json())
    assert seen == [item["name"] for item in five]
    assert response.json()["next_cursor"] is None
    assert names(me.get(first).json()) == ["item 0", "item 1"]


def test_limit_may_change_between_pages(me: httpx.Client, five: list[dict[str, Any]]) -> None:
    cursor = page(me, sort="name", limit=1)["next_cursor"]
    assert names(page(me, sort="name", limit=3, cursor=cursor)) == ["item 1", "item 2", "item 3"]


@pytest.mark.usefixtures("five")
def test_cursor_is_valid_only_for_its_own_list(service: RunningService, me: httpx.Client) -> None:
    cursor = page(me, sort="name", limit=2, status=["draft", "active"])["next_cursor"]
    ours = {"sort": "name", "limit": 2, "cursor": cursor}
    assert page(me, **ours, status=["active", "draft", "active"])["items"], "the order of statuses does not matter"
    refused = {("cursor", "cursor")}
    for other in ({"status": "active"}, {}, {"status": ["draft", "active"], "q": "item"}):
        assert validation_errors(me.get(ITEMS, params={**ours, **other})) == refused
    assert validation_errors(me.get(ITEMS, params={**ours, "status": ["draft", "active"], "sort": "-name"})) == refused
    with closing(service.user()) as other_user, closing(service.staff()) as staff:
        for client in (other_user, staff):
            assert validation_errors(client.get(ITEMS, params={**ours, "status": ["draft", "active"]})) == refused
    for forged in ("", "x", cursor[:-1], cursor + "A", cursor[::-1], "\u00e9", cursor + "\0"):
        [(where, _)] = validation_errors(
            me.get(ITEMS, params={**ours, "status": ["draft", "active"], "cursor": forged})
        )
        assert where == "cursor"


def test_cursor_is_shared_by_a_user_and_their_api_keys(
    service: RunningService, me: httpx.Client, five: list[dict[str, Any]]
) -> None:
    created = me.post("/v1/auth/api-keys", json={"name": "k", "scopes": ["items:read"]}).json()
    with service.client(headers={"Authorization": f"Bearer {created['key']}"}) as by_key:
        cursor = page(by_key, sort="name", limit=4)["next_cursor"]
    assert names(page(me, sort="name", limit=4, cursor=cursor)) == [five[4]["name"]]


def test_filters_and_total(me: httpx.Client) -> None:
    create(me, name="Alpha", status="draft")
    create(me, name="Beta", description="an x-RAY of Straße")
    create(me, name="100% ray_x", status="archived")
    for params, found in (
        ({"status": "draft"}, {"Alpha"}),
        ({"status": ["draft", "archived"]}, {"Alpha", "100% ray_x"}),
        ({"name": "Beta"}, {"Beta"}),
        ({"name": "beta"}, set()),
        ({"name": ""}, set()),
        ({"q": ""}, {"Alpha", "Beta", "100% ray_x"}),
        ({"q": "ray"}, {"Beta", "100% ray_x"}),
        ({"q": "%"}, {"100% ray_x"}),
        ({"q": "y_x"}, {"100% ray_x"}),
        ({"q": "a_"}, set()),
        ({"q": "STRAßE"}, {"Beta"}),
        ({"q": "ray", "status": "active", "name": "Beta"}, {"Beta"}),
    ):
        assert set(names(page(me, **params))) == found, params
        assert page(me, **params, total="true", limit=1)["total"] == len(found)
    assert "total" not in page(me)
    assert "total" not in page(me, total="false")


def test_time_filters_are_exclusive_and_accept_any_offset(me: httpx.Client) -> None:
    items = [create(me, name=f"{number}") for number in range(3)]
    me.patch(path_of(items[0]), json={"description": "changed"})
    at = items[1]["created_at"]
    assert names(page(me, created_after=at)) == ["2"]
    assert names(page(me, created_before=at.replace("Z", "+00:00"))) == ["0"]
    assert names(page(me, created_after=items[0]["created_at"], created_before=items[2]["created_at"])) == ["1"]
    assert names(page(me, updated_after=items[2]["updated_at"])) == ["0"]
    assert names(page(me, updated_before=items[1]["updated_at"])) == []
    shifted = f"{at[:11]}{(int(at[11:13]) + 1) % 24:02}{at[13:-1]}+01:00"
    if not shifted.startswith(f"{at[:11]}00"):
        assert names(page(me, created_after=shifted)) == ["2"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", ("limit", "greater_than_equal")),
        ("limit=101", ("limit", "less_than_equal")),
        ("limit=x", ("limit", "int_parsing")),
        ("limit=5&limit=5", ("limit", "repeated")),
        ("sort=id", ("sort", "literal_error")),
        ("sort=name&sort=name", ("sort", "repeated")),
        ("status=deleted", ("status", "literal_error")),
        ("total=perhaps", ("total", "bool_parsing")),
        ("created_after=yesterday", ("created_after", "datetime_parsing")),
        ("created_before=2026-01-01T00:00:00", ("created_before", "timezone_aware")),
        ("updated_after=9999-12-31T23:59:59-01:00", ("updated_after", "datetime_range")),
        ("q=" + "x" * 201, ("q", "string_too_long")),
        ("name=a%00", ("name", "nul_character")),
        ("offset=20", ("offset", "unknown")),
        ("owner_id=x", ("owner_id", "unknown")),
        ("name__startswith=a", ("name__startswith", "unknown")),
    ],
)
def test_invalid_parameter_is_422(me: httpx.Client, query: str, error: tuple[str, str]) -> None:
    assert validation_errors(me.get(f"{ITEMS}?{query}")) == {error}


def test_staff_list_the_items_of_all_users(service: RunningService, me: httpx.Client) -> None:
    with closing(service.user()) as other, closing(service.staff()) as staff:
        mine, theirs = create(me, name="staff see this"), create(other, name="staff see this")
        assert [item["id"] for item in page(me)["items"]] == [mine["id"]]
        seen = page(staff, name="staff see this", sort="-created_at")["items"]
        assert [item["id"] for item in seen][:2] == [theirs["id"], mine["id"]]
        assert page(staff, total="true", limit=1)["total"] >= 2
