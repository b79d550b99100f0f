"""Errors in the admin: HTML pages for people, problems for programs."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from core.http.security_headers import ADMIN_POLICY
from tests.core.pages.pages import Page
from tests.running_service import STAFF_EMAIL, RunningService
from tests.staff_browser import Browser

LOG_IN = "/admin/login/"


def error_page(answer: httpx.Response, status: int) -> Page:
    """Check the parts that every error page has, and return the page."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer.headers.get_list("content-security-policy") == [ADMIN_POLICY]
    assert answer.headers["x-request-id"] in answer.text
    assert 'href="/admin/"' in answer.text, "a link back to the admin"
    page = Page(answer.text)
    assert not page.inline
    return page


def test_unknown_page_is_explained(boss: Browser) -> None:
    answer = boss.client.get("/admin/nope/")
    error_page(answer, 404)
    assert "There is nothing here" in answer.text


def test_missing_permission_is_explained(staff: Callable[..., Browser]) -> None:
    answer = staff("view_item").client.get("/admin/accounts/user/")
    error_page(answer, 403)
    assert "A superuser can grant it" in answer.text


def test_form_without_a_valid_token_is_explained(boss: Browser) -> None:
    answer = boss.client.post("/admin/items/item/add/", data={"name": "x", "csrfmiddlewaretoken": "x" * 64})
    error_page(answer, 403)
    assert "Reload the page" in answer.text
    assert "permission" not in answer.text


def test_get_of_a_post_only_page_is_405(boss: Browser) -> None:
    answer = boss.client.get("/admin/core/idempotencyrecord/purge/")
    error_page(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.fixture
def limited(start: Callable[..., RunningService]) -> Iterator[Browser]:
    with Browser(start(RATE_LIMIT_AUTH="2/minute")) as browser:
        yield browser


def test_too_many_log_in_attempts_are_explained(limited: Browser) -> None:
    answers = [limited.log_in("nobody@example.org", "wrong") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    page = error_page(answers[-1], 429)
    assert re.search(r"Try again in \d+ s", answers[-1].text)
    for url in page.loads:
        assert limited.client.get(url).status_code == 200, url
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/admin/nope/", "/admin/core/idempotencyrecord/add/"])
def test_programs_receive_problems(boss: Browser, path: str) -> None:
    for accept in ("*/*", "application/json", "application/problem+json, text/html;q=0.1"):
        answer = boss.client.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_browsers_receive_problems_outside_the_admin(boss: Browser) -> None:
    assert boss.client.get("/v1/items/").headers["content-type"] == "application/problem+json"
    assert boss.client.get("/nope").headers["content-type"] == "application/problem+json"


def test_expired_session_is_explained_once(boss: Browser) -> None:
    boss.client.cookies.set("sessionid", "x" * 32, path="/admin/")
    answer = boss.client.get("/admin/items/item/")
    assert answer.headers["location"].startswith(LOG_IN)
    page = boss.get(answer.headers["location"])
    assert "Your session has ended" in page
    assert "not saved" not in page
    assert "Your session has ended" not in boss.get(LOG_IN), "once"


def test_form_sent_after_the_session_ended_is_reported_as_not_saved(boss: Browser) -> None:
    token = boss.client.cookies["csrftoken"]
    boss.client.cookies.set("sessionid", "x" * 32, path="/admin/")
    answer = boss.client.post("/admin/items/item/add/", data={"name": "lost", "csrfmiddlewaretoken": token})
    assert "Your changes were not saved" in boss.get(answer.headers["location"])


def test_first_visit_shows_no_session_message(service: RunningService) -> None:
    with Browser(service) as browser:
        answer = browser.client.get("/admin/items/item/")
        assert "session" not in browser.get(answer.headers["location"]).lower()


def test_wrong_password_message_asks_for_the_email(service: RunningService) -> None:
    with Browser(service) as browser:
        page = browser.log_in(STAFF_EMAIL, "wrong").text
    assert "Please enter the correct e-mail and password for a staff account." in page
    assert "case-sensitive" not in page
