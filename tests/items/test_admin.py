"""Items in the admin: changes like those of the API, each of them told in the history."""

import re
import time
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.items.http import create, path_of
from tests.redis_server import RedisServer
from tests.running_service import STAFF_EMAIL, RunningService
from tests.staff_browser import Browser

LIST = "/admin/items/item/"


def change_path(item: dict[str, object]) -> str:
    return f"{LIST}{item['id']}/change/"


def history(browser: Browser, item: dict[str, object]) -> str:
    return browser.get(f"{LIST}{item['id']}/history/")


def test_a_change_makes_the_next_version_and_is_seen_at_once(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="before", metadata={"a": 1})
    assert me.get(path_of(item)).json()["version"] == 1
    assert boss.change(change_path(item), name="after").status_code == 302
    answer = me.get(path_of(item))
    assert (answer.json()["name"], answer.json()["version"], answer.headers["etag"]) == ("after", 2, '"2"')
    assert answer.json()["metadata"] == {"a": 1}


def test_saving_without_a_change_leaves_the_version(boss: Browser, me: httpx.Client) -> None:
    item = create(me, description="two\nlines\r\nof text", metadata={"b": 1.0, "a": [1, None]})
    assert boss.change(change_path(item)).status_code == 302
    assert me.get(path_of(item)).json() == item


def test_nothing_is_saved_over_a_newer_version(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="seen")
    form = boss.get(change_path(item))
    assert me.patch(path_of(item), json={"name": "newer"}).status_code == 200
    assert 'name="seen_version" value="1"' in form
    page = boss.change(change_path(item), name="older", seen_version="1")
    assert page.status_code == 200
    assert "Nothing was saved" in page.text
    assert me.get(path_of(item)).json()["name"] == "newer"


def test_history_tells_who_changed_what_from_what_to_what(boss: Browser, me: httpx.Client) -> None:
    item = create(me, name="<b>old</b>", metadata={"team": "billing", "limits": {"day": 1000, "hour": 100}})
    metadata = '{"limits": {"hour": 100, "day": 2000}, "team": "billing", "hooks": ["a"]}'
    assert boss.change(change_path(item), name="new", metadata=metadata).status_code == 302
    page = history(boss, item)
    assert STAFF_EMAIL in page
    assert "to version 2" in page
    assert removed(page) == ["&lt;b&gt;old&lt;/b&gt;", "    &quot;day&quot;: 1000,"]
    added_lines = ["new", "  &quot;hooks&quot;: [", "    &quot;a&quot;", "  ],", "    &quot;day&quot;: 2000,"]
    assert added(page) == added_lines, "in whatever order the keys came"


def test_history_says_that_the_api_has_changed_it_too(boss: Browser, me: httpx.Client) -> None:
    item = create(me)
    assert me.patch(path_of(item), json={"name": "by the API"}).status_code == 200
    page = history(boss, item)
    assert "Nobody has changed it in the admin" in page
    assert "it is version 2 now" in page


def removed(page: str) -> list[str]:
    return re.findall(r'<del><span class="sign">−</span>(.*?)</del>', page)


def added(page: str) -> list[str]:
    return re.findall(r'<ins><span class="sign">\+</span>(.*?)</ins>', page)


def test_staff_who_may_only_look_see_no_form_and_no_accounts(staff: Callable[..., Browser], me: httpx.Client) -> None:
    item = create(me, name="looked at", metadata={"key": "value"})
    looker = staff("view_item")
    page = looker.get(change_path(item))
    assert "&quot;key&quot;: &quot;value&quot;" in page
    assert 'name="_save"' not in page
    for shown in (page, looker.get(f"{LIST}?q=looked+at")):
        assert me.email not in shown  # type: ignore[attr-defined]
        assert item["owner_id"] in shown
    assert looker.client.post(change_path(item), data={"name": "x"}).status_code == 403
    assert "delete_selected" not in looker.get(LIST)


def test_what_staff_do_is_in_the_services_log(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    item = create(me, name="logged")
    assert boss.change(change_path(item), name="a new name").status_code == 302
    assert boss.submit(f"{LIST}{item['id']}/delete/", post="yes").status_code == 302
    [[staff]] = service.query("SELECT id FROM accounts_user WHERE email = ?", STAFF_EMAIL)
    deadline = time.monotonic() + 30
    while len(lines := [line for line in service.log_lines() if line.get("object_id") == item["id"]]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [(line["action"], line["model"]) for line in lines] == [("change", "items.item"), ("deletion", "items.item")]
    assert {line["user_id"].replace("-", "") for line in lines} == {str(staff).replace("-", "")}
    assert "a new name" not in str(lines)


@pytest.mark.slow
def test_no_worker_shows_from_the_cache_what_was_before(start: Callable[..., RunningService]) -> None:
    with RedisServer() as redis:
        service = start(workers=2, REDIS_URL=redis.url)
        with closing(service.user(headers={"Connection": "close"})) as me, Browser(service) as boss:
            item = create(me, name="version 1")
            assert boss.log_in().status_code == 302
            for version in range(2, 6):
                # Cached by now, on whichever worker answers.
                assert {me.get(path_of(item)).json()["version"] for _ in range(6)} == {version - 1}
                assert boss.change(change_path(item), name=f"version {version}").status_code == 302
                assert {me.get(path_of(item)).json()["name"] for _ in range(6)} == {f"version {version}"}


def test_items_are_found_by_id_and_by_the_beginning_of_their_name(boss: Browser, me: httpx.Client) -> None:
    item, other = create(me, name="Sought for"), create(me, name="not Sought")
    for term in (item["id"], "Sought"):
        page = boss.get(f"{LIST}?q={term}")
        assert change_path(item) in page
        assert change_path(other) not in page


def test_a_deleted_item_is_gone_from_the_api(boss: Browser, me: httpx.Client) -> None:
    item = create(me)
    assert me.get(path_of(item)).status_code == 200
    assert boss.submit(f"{LIST}{item['id']}/delete/", post="yes").status_code == 302
    assert me.get(path_of(item)).status_code == 404
