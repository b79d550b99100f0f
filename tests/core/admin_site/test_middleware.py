"""The admin's middleware: it does not touch other paths, and gives the admin sessions, CSRF and messages."""

import asyncio
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.admin.checks import check_dependencies
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from core.admin_site import middleware
from core.admin_site.middleware import AdminMiddleware
from core.http.security_headers import ADMIN_POLICY
from tests.core.pages.pages import Page, policy
from tests.running_service import STAFF_EMAIL, STAFF_PASSWORD, RunningService

LOG_IN = "/admin/login/"


def request_for(path: str) -> HttpRequest:
    request = HttpRequest()
    request.method, request.path, request.path_info = "GET", path, path
    return request


class Hops:
    """Counts the calls that move to a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counting(function: Any) -> Any:
            self.count += 1
            return sync_to_async(function)

        monkeypatch.setattr(middleware, "sync_to_async", counting)


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> Hops:
    return Hops(monkeypatch)


async def respond(request: HttpRequest) -> HttpResponseBase:
    return HttpResponse("inner")


@pytest.mark.parametrize("path", ["/v1/items/", "/", "/docs", "/static/admin/css/base.css", "/admin", "/administer/"])
def test_other_paths_are_untouched(path: str, hops: Hops) -> None:
    request = request_for(path)
    middleware = AdminMiddleware(respond)
    response = asyncio.run(as_coroutine(middleware(request)))
    assert asyncio.run(middleware.process_view(request, respond, (), {})) is None
    assert hops.count == 0
    assert not hasattr(request, "session")
    assert not hasattr(request, "user")
    assert "Content-Security-Policy" not in response.headers


def test_other_paths_return_the_inner_awaitable() -> None:
    inner = respond(request_for("/v1/items/"))
    middleware = AdminMiddleware(lambda _: inner)
    assert middleware(request_for("/v1/items/")) is inner
    inner.close()


async def as_coroutine(awaitable: Any) -> Any:
    return await awaitable


def test_admin_request_takes_two_thread_hops(hops: Hops) -> None:
    request = request_for("/admin/")
    response = asyncio.run(as_coroutine(AdminMiddleware(respond)(request)))
    assert hops.count == 2
    assert all(hasattr(request, name) for name in ("session", "user", "_messages"))
    assert response["Content-Security-Policy"] == ADMIN_POLICY


def test_session_that_ends_during_a_request_redirects_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise SessionInterrupted

    monkeypatch.setattr(SessionMiddleware, "process_response", interrupted)
    response = asyncio.run(as_coroutine(AdminMiddleware(respond)(request_for("/admin/"))))
    assert (response.status_code, response["Location"]) == (302, LOG_IN)


def test_admin_system_checks_pass() -> None:
    assert [error for error in check_dependencies() if not error.is_silenced()] == []


def test_admin_middleware_is_the_last() -> None:
    assert settings.MIDDLEWARE[-1] == "core.admin_site.middleware.AdminMiddleware"
    assert settings.CSRF_FAILURE_VIEW == "core.admin_site.middleware.csrf_failure"


# In the service


@pytest.fixture
def browser(service: RunningService) -> Iterator[httpx.Client]:
    """A client that keeps cookies like a browser."""
    with service.client() as client:
        yield client


def log_in(browser: httpx.Client, **changes: str) -> httpx.Response:
    page = browser.get(LOG_IN)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    form = {
        "username": STAFF_EMAIL,
        "password": STAFF_PASSWORD,
        "next": "/admin/",
        "csrfmiddlewaretoken": found[1],
    }
    return browser.post(LOG_IN, data={**form, **changes}, headers={"Referer": str(page.url)})


def test_log_in_page_satisfies_its_policy_and_all_its_files_exist(browser: httpx.Client) -> None:
    answer = browser.get(LOG_IN)
    directives = policy(answer.headers["content-security-policy"])
    assert directives["script-src"] == directives["style-src"] == ["'self'"]
    assert directives["form-action"] == ["'self'"]
    page = Page(answer.text)
    assert not page.inline
    assert len(page.loads) > 3
    for url in page.loads:
        assert browser.get(url).status_code == 200, url


def test_staff_log_in_and_out(browser: httpx.Client) -> None:
    assert browser.get("/admin/").status_code == 302
    assert log_in(browser).headers["location"] == "/admin/"
    index = browser.get("/admin/")
    assert (index.status_code, index.headers["content-security-policy"]) == (200, ADMIN_POLICY)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', index.text)
    assert found
    assert browser.post("/admin/logout/", data={"csrfmiddlewaretoken": found[1]}).status_code == 200
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize("token", ["", "x" * 64])
def test_form_without_a_valid_token_is_a_problem(browser: httpx.Client, token: str) -> None:
    answer = log_in(browser, csrfmiddlewaretoken=token)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["type"] == "/problems/forbidden"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "Reload the page" in answer.json()["detail"]


def test_unknown_page_is_a_problem_after_log_in(browser: httpx.Client) -> None:
    log_in(browser)
    answer = browser.get("/admin/nope/")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_cookies_are_kept_from_scripts_and_other_sites(browser: httpx.Client) -> None:
    cookies = SimpleCookie()
    for value in log_in(browser).headers.get_list("set-cookie"):
        cookies.load(value)
    session = cookies[settings.SESSION_COOKIE_NAME]
    assert session["httponly"]
    assert session["path"] == "/admin/"
    assert session["samesite"] == "Strict"


def test_the_api_sets_no_cookies(browser: httpx.Client) -> None:
    log_in(browser)
    for path in ("/", "/docs", "/v1/items/", "/health/live"):
        answer = browser.get(path)
        assert "set-cookie" not in answer.headers
        assert "Cookie" not in answer.headers["vary"]


def test_posts_outside_the_admin_need_no_csrf_token(browser: httpx.Client) -> None:
    assert browser.post("/v1/auth/login", json={}, headers={"Accept": "*/*"}).status_code == 422
    assert browser.post("/static/docs/docs.js").status_code == 405


def test_staff_without_permission_get_a_problem(browser: httpx.Client, service: RunningService) -> None:
    email = "limited@example.org"
    make = f"from core.auth.models import User; User.objects.create_user({email!r}, {STAFF_PASSWORD!r}, is_staff=True)"
    service.manage("shell", "-c", make)
    assert log_in(browser, username=email).status_code == 302
    answer = browser.get("/admin/accounts/user/")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
