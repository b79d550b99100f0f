"""The service's small pages in a real browser: styled, and fitting at any width."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser

PAGES = ["/", "/problems/", "/problems/validation-error"]


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_page_is_styled_and_fits(open_tab: Callable[..., Tab], path: str, width: int) -> None:
    tab = open_tab(viewport={"width": width, "height": 700})
    tab.page.goto(path)
    assert tab.page.locator("h1").count() == 1
    assert tab.page.evaluate("getComputedStyle(document.body).margin") == "0px"
    assert not tab.is_scrolled_sideways


def test_dark_theme_follows_the_system(open_tab: Callable[..., Tab]) -> None:
    page = open_tab(color_scheme="dark").page
    page.goto("/")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 27, 31)"


def test_links_lead_from_the_root_to_a_problem(open_tab: Callable[..., Tab]) -> None:
    page = open_tab().page
    page.goto("/")
    page.get_by_role("link", name="Problems").click()
    page.get_by_role("link", name="There is nothing here").click()
    assert page.url.endswith("/problems/not-found")
    assert page.get_by_role("heading", level=1).inner_text() == "There is nothing here"


def test_json_in_the_browser_has_no_errors(open_tab: Callable[..., Tab]) -> None:
    # The browser requests /favicon.ico and reports an error if it is missing.
    tab = open_tab()
    tab.page.goto("/health/live")
    tab.page.goto("/openapi.json")
