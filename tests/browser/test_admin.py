"""The admin in a real browser, under its strict content security policy."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab
from tests.running_service import STAFF_EMAIL, STAFF_PASSWORD

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


def log_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(STAFF_EMAIL)
    page.get_by_label("Password").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # The page's scripts attach to the buttons once it is loaded.
    page.wait_for_load_state()


@pytest.fixture(params=[None, PHONE], ids=["desktop", "phone"])
def tab(open_tab: Callable[..., Tab], request: pytest.FixtureRequest) -> Tab:
    return open_tab(viewport=request.param or {"width": 1280, "height": 900})


def test_front_page_has_links_and_its_style(tab: Tab) -> None:
    log_in(tab.page)
    assert not tab.is_scrolled_sideways
    for name in ("Documentation", "Readiness", "Metrics", "Problems"):
        expect(tab.page.locator("#service-module").get_by_role("link", name=name)).to_be_visible()
    expect(tab.page.locator(".environment")).to_have_text("test")
    assert tab.page.evaluate("getComputedStyle(document.querySelector('#header')).backgroundColor") == "rgb(16, 57, 95)"


def test_every_linked_page_opens(tab: Tab) -> None:
    page = tab.page
    log_in(page)
    hrefs = page.locator("#content-main a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    paths = sorted({href for href in hrefs if href.startswith("/admin/")})
    assert len(paths) > 4
    for path in [*paths, "/admin/password_change/"]:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        assert "Agent Router" in page.title(), path


def test_button_switches_the_theme(open_tab: Callable[..., Tab]) -> None:
    page = open_tab().page
    log_in(page)
    button = page.get_by_role("button", name=re.compile("theme", re.IGNORECASE))
    for theme in ("dark", "light", "auto"):
        button.click()
        expect(page.locator("html")).to_have_attribute("data-theme", theme)


def test_item_is_changed(open_tab: Callable[..., Tab], me: httpx.Client) -> None:
    item = me.post("/v1/items/", json={"name": "seen by the admin"}).json()
    page = open_tab().page
    log_in(page)
    page.goto(f"/admin/items/item/{item['id']}/change/")
    page.locator("#id_name").fill("changed by the admin")
    page.locator("[name=_save]").click()
    expect(page.locator(".messagelist")).to_contain_text("changed")
    changed = me.get(f"/v1/items/{item['id']}").json()
    assert (changed["name"], changed["version"]) == ("changed by the admin", 2)


def test_log_out_ends_the_session(open_tab: Callable[..., Tab]) -> None:
    page = open_tab().page
    log_in(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Logged out")).to_be_visible()
    page.goto("/admin/")
    expect(page.get_by_label("E-mail")).to_be_visible()
