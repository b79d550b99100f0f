"""Errors in the admin: pages for people, problems for programs."""

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
    """The page that a person sees, which must have what each has."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer.headers.get_list("content-security-policy") == [ADMIN_POLICY]
    assert answer.headers["x-request-id"] in answer.text
    assert 'href="/admin/"' in answer.text, "a way back"
    page = Page(answer.text)
    assert not page.inline
    return page


def test_unknown_page(boss: Browser) -> None:
    answer = boss.client.get("/admin/nope/")
    error_page(answer, 404)
    assert "There is nothing here" in answer.text


def test_what_the_permissions_do_not_allow(staff: Callable[..., Browser]) -> None:
    answer = staff("view_item").client.get("/admin/accounts/user/")
    error_page(answer, 403)
    assert "A superuser can give it the permission" in answer.text


def test_a_form_without_a_valid_token(boss: Browser) -> None:
    answer = boss.client.post("/admin/items/item/add/", data={"name": "x", "csrfmiddlewaretoken": "x" * 64})
    error_page(answer, 403)
    assert "Load the page anew" in answer.text
    assert "permission" not in answer.text


def test_a_page_that_takes_forms_only(boss: Browser) -> None:
    answer = boss.client.get("/admin/core/idempotencyrecord/purge/")
    error_page(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.fixture
def limited(start: Callable[..., RunningService]) -> Iterator[Browser]:
    with Browser(start(RATE_LIMIT_AUTH="2/minute")) as browser:
        yield browser


def test_too_many_passwords_from_one_address(limited: Browser) -> None:
    answers = [limited.log_in("nobody@example.org", "wrong") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    page = error_page(answers[-1], 429)
    assert re.search(r"Try again in \d+ s", answers[-1].text)
    for url in page.loads:
        assert limited.client.get(url).status_code == 200, url
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/admin/nope/", "/admin/core/idempotencyrecord/add/"])
def test_programs_get_problems(boss: Browser, path: str) -> None:
    for accept in ("*/*", "application/json", "application/problem+json, text/html;q=0.1"):
        answer = boss.client.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_outside_of_the_admin_a_browser_gets_problems_too(boss: Browser) -> None:
    assert boss.client.get("/v1/items/").headers["content-type"] == "application/problem+json"
    assert boss.client.get("/nope").headers["content-type"] == "application/problem+json"


def test_who_had_a_session_is_told_that_it_has_ended(boss: Browser) -> None:
    boss.client.cookies.set("sessionid", "x" * 32, path="/admin/")
    answer = boss.client.get("/admin/items/item/")
    assert answer.headers["location"].startswith(LOG_IN)
    page = boss.get(answer.headers["location"])
    assert "Your session has ended" in page
    assert "not been saved" not in page
    assert "Your session has ended" not in boss.get(LOG_IN), "once"


def test_who_sends_a_form_after_the_end_is_told_that_it_was_not_saved(boss: Browser) -> None:
    token = boss.client.cookies["csrftoken"]
    boss.client.cookies.set("sessionid", "x" * 32, path="/admin/")
    answer = boss.client.post("/admin/items/item/add/", data={"name": "lost", "csrfmiddlewaretoken": token})
    assert "What you sent has not been saved" in boss.get(answer.headers["location"])


def test_who_comes_for_the_first_time_is_told_nothing(service: RunningService) -> None:
    with Browser(service) as browser:
        answer = browser.client.get("/admin/items/item/")
        assert "session" not in browser.get(answer.headers["location"]).lower()


def test_wrong_password_says_what_to_do(service: RunningService) -> None:
    with Browser(service) as browser:
        page = browser.log_in(STAFF_EMAIL, "wrong").text
    assert "Please enter the correct e-mail and password for a staff account." in page
    assert "case-sensitive" not in page
