"""/docs in a real browser: authorize, try operations, and no errors in the console."""

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Tab
from tests.running_service import RunningService

pytestmark = pytest.mark.browser


def open_docs(tab: Tab) -> Page:
    tab.page.goto("/docs")
    tab.page.wait_for_selector(".opblock")
    return tab.page


def authorize(page: Page, client: httpx.Client) -> None:
    token = client.headers["authorization"].removeprefix("Bearer ")
    page.locator(".auth-wrapper .btn.authorize").click()
    page.locator("#auth-bearer-value").fill(token)
    page.get_by_role("button", name="Apply credentials").click()
    page.locator(".btn-done").click()


def open_operation(page: Page, operation: str) -> Locator:
    """Open an operation's block and return it."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.locator(".execute").wait_for()
    return block


def execute(block: Locator) -> tuple[str, str]:
    """Execute the operation. Return the status and body that the page shows."""
    block.locator(".execute").click()
    answer = block.locator(".live-responses-table .response")
    answer.wait_for()
    return answer.locator(".response-col_status").inner_text().split()[0], answer.locator("pre").first.inner_text()


def test_authorized_operation_succeeds(open_tab: Callable[..., Tab], me: httpx.Client) -> None:
    item = me.post("/v1/items/", json={"name": "tried out"}).json()
    page = open_docs(open_tab())
    authorize(page, me)
    block = open_operation(page, "getItem")
    block.locator("input[placeholder=id]").fill(item["id"])
    status, body = execute(block)
    assert status == "200"
    assert "tried out" in body


def test_example_request_succeeds_unchanged(open_tab: Callable[..., Tab], me: httpx.Client) -> None:
    page = open_docs(open_tab())
    authorize(page, me)
    assert execute(open_operation(page, "createItem"))[0] == "201"
    # Swagger UI must not fill in filters and conditions.
    status, body = execute(open_operation(page, "listItems"))
    assert status == "200"
    assert me.get("/v1/items/").json()["items"][0]["id"] in body


def test_problem_is_shown_without_a_token(open_tab: Callable[..., Tab]) -> None:
    tab = open_tab()
    status, body = execute(open_operation(open_docs(tab), "listItems"))
    assert status == "401"
    assert "/problems/unauthorized" in body
    # The browser reports the expected 401.
    assert all("401" in complaint for complaint in tab.complaints)
    tab.complaints.clear()


def test_everything_is_loaded_from_the_service(open_tab: Callable[..., Tab], service: RunningService) -> None:
    tab = open_tab()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    open_docs(tab)
    assert len(asked) >= 5
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(service.url).netloc}


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(28, 32, 34)")])
def test_theme_follows_the_system(open_tab: Callable[..., Tab], scheme: str, background: str) -> None:
    page = open_docs(open_tab(color_scheme=scheme))
    shown = page.evaluate(
        "[document.documentElement, document.body].map(e => getComputedStyle(e).backgroundColor)"
        ".find(c => c !== 'rgba(0, 0, 0, 0)') ?? 'rgb(255, 255, 255)'"
    )
    assert shown == background


def test_theme_changes_with_the_system(open_tab: Callable[..., Tab]) -> None:
    page = open_docs(open_tab(color_scheme="light"))
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_class("dark-mode")


def test_link_to_an_operation_opens_it(open_tab: Callable[..., Tab]) -> None:
    page = open_tab().page
    page.goto("/docs#/Items/getItem")
    page.locator("[id$='-getItem'].is-open").wait_for()


def test_page_fits_a_phone(open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(viewport={"width": 390, "height": 844})
    open_docs(tab)
    assert not tab.is_scrolled_sideways
