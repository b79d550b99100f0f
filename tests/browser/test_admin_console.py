"""The admin in a real browser: at phone width, by keyboard, in the light and the dark theme."""

import csv
import json
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab
from tests.browser.test_admin import PHONE, log_in
from tests.running_service import RunningService

pytestmark = pytest.mark.browser

ITEMS, USERS = "/admin/items/item/", "/admin/accounts/user/"
# The focused element: its name, and whether its focus is visible.
FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const {width, height, left, right} = element.getBoundingClientRect();
  return {
    name: `${element.tagName} ${element.id} ${(element.innerText || element.name || '').slice(0, 40)}`,
    isNone: element === document.body,
    isVisible: width > 0 && height > 0 && right > 0 && left < innerWidth
      && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  };
}"""
REACHABLE = """() => [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]'
)].filter(one => !one.disabled && one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true})).length"""


@pytest.fixture
def item(me: httpx.Client) -> dict[str, Any]:
    metadata = {"hook": "https://hooks.example.org/" + "long/" * 30, "limits": {"day": 1000, "hour": 100}}
    answer = me.post("/v1/items/", json={"name": "A name without end " * 9, "metadata": metadata})
    return dict(answer.json())


def pages_of(item: dict[str, Any]) -> list[str]:
    one, owner = f"{ITEMS}{item['id']}/", f"{USERS}{item['owner_id']}/"
    lists = [f"/admin/{name}/" for name in ("auth/group", "accounts/session", "accounts/apikey", "accounts/auditevent")]
    return [
        "/admin/", ITEMS, f"{ITEMS}?q={item['id']}", f"{ITEMS}add/", f"{one}change/", f"{one}history/", f"{one}delete/",
        USERS, f"{USERS}add/", f"{owner}change/", f"{owner}history/", f"{owner}password/", f"{owner}delete/",
        *lists, "/admin/core/idempotencyrecord/", "/admin/items/", "/admin/password_change/", "/admin/auth/group/add/",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(open_tab: Callable[..., Tab], item: dict[str, Any], scheme: str) -> None:
    tab = open_tab(viewport=PHONE, color_scheme=scheme)
    assert not tab.is_scrolled_sideways
    log_in(tab.page)
    for path in pages_of(item):
        tab.page.goto(path)
        assert not tab.is_scrolled_sideways, path


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_keyboard_reaches_everything_with_visible_focus(
    open_tab: Callable[..., Tab], item: dict[str, Any], width: int
) -> None:
    page = open_tab(viewport={"width": width, "height": 844}).page
    log_in(page)
    found = f"{ITEMS}?q={item['id']}"
    for path in ("/admin/", found, f"{ITEMS}{item['id']}/change/", f"{ITEMS}{item['id']}/history/"):
        page.goto(path)
        page.wait_for_load_state()
        stops = tab_through(page, path)
        assert "Skip to main content" in stops[0]
        assert len(stops) >= page.evaluate(REACHABLE), path


def tab_through(page: Page, path: str) -> list[str]:
    """Return the names of all elements that Tab reaches. Each must show its focus."""
    stops: list[str] = []
    while len(stops) < 300:
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["isNone"]:
            return stops
        stops.append(focused["name"])
        assert focused["isVisible"], f"{path}: {focused['name']}"
    raise AssertionError(f"{path}: no end")


def test_skip_link_moves_focus_to_the_content(open_tab: Callable[..., Tab]) -> None:
    page = open_tab().page
    log_in(page)
    page.goto(ITEMS)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_history_shows_changes_with_colours_and_signs(open_tab: Callable[..., Tab], item: dict[str, Any]) -> None:
    page = open_tab().page
    log_in(page)
    page.goto(f"{ITEMS}{item['id']}/change/")
    field = page.locator("#id_metadata")
    field.fill(field.input_value().replace('"day": 1000', '"day": 2000'))
    page.locator("[name=_continue]").click()
    expect(page.locator(".messagelist")).to_contain_text("changed")
    page.get_by_role("link", name="History").click()
    removed, added = page.locator(".diff del"), page.locator(".diff ins")
    expect(removed).to_have_text('−    "day": 1000,')
    expect(added).to_have_text('+    "day": 2000,')
    colours = [one.evaluate("e => getComputedStyle(e).backgroundColor") for one in (removed, added)]
    assert len({*colours, "rgba(0, 0, 0, 0)"}) == 3


def test_items_are_downloaded(open_tab: Callable[..., Tab], item: dict[str, Any], tmp_path: Path) -> None:
    page = open_tab().page
    log_in(page)
    page.goto(f"{ITEMS}?q={item['id']}")
    with page.expect_download() as started:
        page.get_by_role("link", name="Export CSV").click()
    assert started.value.suggested_filename.startswith("items-")
    started.value.save_as(tmp_path / "items.csv")
    text = (tmp_path / "items.csv").read_bytes().decode("utf-8-sig")
    [row] = csv.DictReader(StringIO(text, newline=""))
    assert row["id"] == item["id"]
    page.locator(".action-select").check()
    page.get_by_label("Action:").select_option("export_json")
    with page.expect_download() as started:
        page.get_by_role("button", name="Run").click()
    started.value.save_as(tmp_path / "items.json")
    assert json.loads((tmp_path / "items.json").read_bytes()) == [item]


def test_user_is_deactivated_after_confirmation(open_tab: Callable[..., Tab], service: RunningService) -> None:
    with closing(service.user()) as me:
        owner = me.get("/v1/auth/me").json()
        page = open_tab(viewport=PHONE).page
        log_in(page)
        page.goto(f"{USERS}?q={owner['email']}")
        page.locator(".action-select").check()
        page.get_by_label("Action:").select_option("deactivate")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("heading", name="Deactivate users?")).to_be_visible()
        expect(page.locator(".chosen")).to_have_text(owner["email"])
        page.get_by_role("button", name="No, take me back").click()
        expect(page.get_by_label("Action:")).to_be_visible()
        assert me.get("/v1/items/").status_code == 200
        page.get_by_label("Action:").select_option("deactivate")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("button", name="Yes, 1 user").click()
        expect(page.locator(".messagelist")).to_have_text("1 user is deactivated.")


def test_front_page_fits_a_phone(open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(viewport=PHONE)
    log_in(tab.page)
    health = tab.page.locator("#health-module")
    expect(health).to_contain_text("Ready")
    for name in ("API traffic", "Rate limits", "Redis and cache", "Database"):
        tab.page.get_by_role("heading", name=name).scroll_into_view_if_needed()
    assert not tab.is_scrolled_sideways


def test_error_page_links_back(open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(viewport=PHONE)
    log_in(tab.page)
    tab.page.goto("/admin/nope/")
    expect(tab.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    assert not tab.is_scrolled_sideways
    tab.page.get_by_role("link", name="Overview").click()
    expect(tab.page.get_by_role("heading", name="Overview")).to_be_visible()
    # The browser reports the expected 404.
    assert all("404" in complaint for complaint in tab.complaints)
    tab.complaints.clear()
