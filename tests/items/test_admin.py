"""Items in the admin, which changes an item like the API and records the history."""

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from items.models import Item
from tests.items.http import create, path_of
from tests.redis_server import RedisServer
from tests.running_service import STAFF_EMAIL, RunningService
from tests.staff_browser import Browser
from tests.waiting import await_true

LIST = f"/admin/items/{Item._meta.model_name}/"


def change_path(item: dict[str, object]) -> str:
    return f"{LIST}{item['id']}/change/"


def history(browser: Browser, item: dict[str, object]) -> str:
    return browser.get(f"{LIST}{item['id']}/history/")


def test_change_increments_the_version_and_reaches_the_api_immediately(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="before", metadata={"a": 1})
    assert me.get(path_of(item)).json()["version"] == 1
    assert boss.change(change_path(item), name="after").status_code == 302
    response = me.get(path_of(item))
    assert (response.json()["name"], response.json()["version"], response.headers["etag"]) == ("after", 2, '"2"')
    assert response.json()["metadata"] == {"a": 1}


def test_saving_an_unchanged_form_keeps_the_version(boss: Browser, me: httpx.Client) -> None:
    item = create(me, description="two\nlines\r\nof text", metadata={"b": 1.0, "a": [1, None]})
    assert boss.change(change_path(item)).status_code == 302
    assert me.get(path_of(item)).json() == item


def test_stale_form_does_not_overwrite_a_newer_version(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="seen")
    form = boss.get(change_path(item))
    assert me.patch(path_of(item), json={"name": "newer"}).status_code == 200
    assert 'name="seen_version" value="1"' in form
    page = boss.change(change_path(item), name="older", seen_version="1")
    assert page.status_code == 200
    assert "Nothing was saved" in page.text
    assert me.get(path_of(item)).json()["name"] == "newer"


def test_history_shows_the_user_and_the_difference(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="<b>old</b>", metadata={"team": "billing", "limits": {"day": 1000, "hour": 100}})
    metadata = '{"limits": {"hour": 100, "day": 2000}, "team": "billing", "hooks": ["a"]}'
    assert boss.change(change_path(item), name="new", metadata=metadata).status_code == 302
    page = history(boss, item)
    assert STAFF_EMAIL in page
    assert "to version 2" in page
    assert removed(page) == ["&lt;b&gt;old&lt;/b&gt;", "    &quot;day&quot;: 1000,"]
    added_lines = ["new", "  &quot;hooks&quot;: [", "    &quot;a&quot;", "  ],", "    &quot;day&quot;: 2000,"]
    assert added(page) == added_lines, "the order of the keys does not matter"


def test_history_mentions_changes_made_by_the_api(boss: Browser, me: httpx.Client) -> None:
    item = create(me)
    assert me.patch(path_of(item), json={"name": "by the API"}).status_code == 200
    page = history(boss, item)
    assert "There are no changes in the admin" in page
    assert "The current version is 2" in page


def removed(page: str) -> list[str]:
    return re.findall(r'<del><span class="sign">−</span>(.*?)</del>', page)


def added(page: str) -> list[str]:
    return re.findall(r'<ins><span class="sign">\+</span>(.*?)</ins>', page)


def test_staff_with_view_permission_see_no_form_and_no_email_addresses(
    staff: Callable[..., Browser], me: httpx.Client
) -> None:
    item = create(me, name="looked at", metadata={"key": "value"})
    viewer = staff(f"view_{Item._meta.model_name}")
    page = viewer.get(change_path(item))
    assert "&quot;key&quot;: &quot;value&quot;" in page
    assert 'name="_save"' not in page
    for shown in (page, viewer.get(f"{LIST}?q=looked+at")):
        assert me.email not in shown  # type: ignore[attr-defined]
        assert item["owner_id"] in shown
    assert viewer.client.post(change_path(item), data={"name": "x"}).status_code == 403
    assert "delete_selected" not in viewer.get(LIST)


def test_staff_actions_are_logged_without_values(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    item = create(me, name="logged")
    assert boss.change(change_path(item), name="a new name").status_code == 302
    assert boss.submit(f"{LIST}{item['id']}/delete/", post="yes").status_code == 302
    [[staff]] = service.query("SELECT id FROM accounts_user WHERE email = ?", STAFF_EMAIL)

    def lines() -> list[dict[str, Any]]:
        return [line for line in service.log_lines() if line.get("object_id") == item["id"]]

    await_true(lambda: len(lines()) == 2, "the two actions are not logged")
    assert [(line["action"], line["model"]) for line in lines()] == [
        ("change", Item._meta.label_lower),
        ("deletion", Item._meta.label_lower),
    ]
    assert {line["user_id"].replace("-", "") for line in lines()} == {str(staff).replace("-", "")}
    assert "a new name" not in str(lines())


@pytest.mark.slow
def test_admin_change_invalidates_the_cache_of_every_worker(start: Callable[..., RunningService]) -> None:
    with RedisServer() as redis:
        service = start(workers=2, REDIS_URL=redis.url)
        with closing(service.user(headers={"Connection": "close"})) as me, Browser(service) as boss:
            item = create(me, name="version 1")
            assert boss.log_in().status_code == 302
            for version in range(2, 6):
                # The item is cached by now, whichever worker responds.
                assert {me.get(path_of(item)).json()["version"] for _ in range(6)} == {version - 1}
                assert boss.change(change_path(item), name=f"version {version}").status_code == 302
                assert {me.get(path_of(item)).json()["name"] for _ in range(6)} == {f"version {version}"}


def test_search_finds_items_by_id_and_name_prefix(boss: Browser, me: httpx.Client) -> None:
    item, other = create(me, name="Sought for"), create(me, name="not Sought")
    for term in (item["id"], "Sought"):
        page = boss.get(f"{LIST}?q={term}")
        assert change_path(item) in page
        assert change_path(other) not in page


def test_item_deleted_in_the_admin_is_404_in_the_api(boss: Browser, me: httpx.Client) -> None:
    item = create(me)
    assert me.get(path_of(item)).status_code == 200
    assert boss.submit(f"{LIST}{item['id']}/delete/", post="yes").status_code == 302
    assert me.get(path_of(item)).status_code == 404
