"""A real browser: the installed Chromium, driven by Playwright."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.running_service import RunningService

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Tab:
    """A page, with the errors and warnings that the browser reported."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("requestfailed", self._note_failure)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _note_failure(self, request: Request) -> None:
        # A navigation aborts the requests of the previous page.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} {request.failure}")

    @property
    def is_scrolled_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width > 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium for a module. While Playwright runs, no other event loop can run in its thread."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        # The sandbox does not work for root or in most containers, and the tests open only our own pages.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium: Browser, service: RunningService) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens a tab with options of Playwright's contexts. No tab may have complaints."""
    tabs: list[Tab] = []
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> Tab:
        context = chromium.new_context(base_url=service.url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        tabs.append(Tab(context.new_page()))
        return tabs[-1]

    yield open_one
    complaints = [complaint for tab in tabs for complaint in tab.complaints]
    for context in contexts:
        context.close()
    assert not complaints
