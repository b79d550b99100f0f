"""Errors of Django's own pages (admin and static files) are problems with all headers."""

import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from core.http.security_headers import ADMIN_POLICY
from tests.running_service import STAFF_EMAIL, STAFF_PASSWORD, RunningService

LOG_IN = "/admin/login/"


def log_in(client: httpx.Client, email: str) -> None:
    client.get(LOG_IN)
    form = {"username": email, "password": STAFF_PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    assert client.post(LOG_IN, data=form).status_code == 302
    assert client.get("/admin/").status_code == 200


@pytest.fixture
def browser(service: RunningService) -> Iterator[httpx.Client]:
    """A browser with a staff session."""
    with closing(service.client()) as client:
        log_in(client, STAFF_EMAIL)
        yield client


def assert_is_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers.get_list("Content-Security-Policy")) == 1


def test_unknown_admin_path_gets_404(browser: httpx.Client) -> None:
    answer = browser.get("/admin/nowhere/")
    assert_is_problem(answer, 404, "not-found")
    assert answer.headers["Content-Security-Policy"] == ADMIN_POLICY


@pytest.mark.parametrize("path", ["/static", "/static/", "/static/nowhere.css", "/static/%3Cpath:path%3E"])
def test_unknown_static_path_gets_404(browser: httpx.Client, path: str) -> None:
    assert_is_problem(browser.get(path), 404, "not-found")


def test_form_without_csrf_token_gets_403(browser: httpx.Client) -> None:
    assert_is_problem(browser.post("/admin/logout/"), 403, "forbidden")
    assert browser.get("/admin/").status_code == 200


def test_unsupported_method_gets_405_with_allow(browser: httpx.Client) -> None:
    answer = browser.post("/static/docs/docs.css")
    assert_is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    answer = browser.get("/admin/logout/")
    assert_is_problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


def test_page_without_permission_gets_403(service: RunningService) -> None:
    email = "without-permissions@example.org"
    user = f"User.objects.create_user({email!r}, {STAFF_PASSWORD!r}, is_staff=True)"
    service.manage("shell", "--no-imports", "-c", f"from core.auth.models import User; {user}")
    with closing(service.client()) as client:
        log_in(client, email)
        assert_is_problem(client.get("/admin/items/item/"), 403, "forbidden")


def test_form_with_too_many_fields_gets_400(browser: httpx.Client) -> None:
    fields = {f"field{number}": "x" for number in range(1100)} | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert_is_problem(browser.post("/admin/logout/", data=fields), 400, "malformed-request")


def test_too_large_form_gets_413(browser: httpx.Client) -> None:
    answer = browser.post(LOG_IN, data={"username": "x" * 1_100_000})
    assert_is_problem(answer, 413, "content-too-large")
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/admin/?\xff", b"x: y"),
        (b"/admin/login/", b"content-type: multipart/form-data; boundary=\xff"),
        (b"/admin/login/", b"cookie: \xff\xfe"),
        (b"/admin/\x7f/", b"x: y"),
        (b"/static/%00", b"x: y"),
        (b"/static/..%2F..%2Fetc%2Fpasswd", b"x: y"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_unusual_requests_do_no_harm(service: RunningService, method: bytes, target: bytes, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        request = b"%s %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n%s\r\n\r\n"
        connection.sendall(request % (method, target, header))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status = int(answer.split(b" ", 2)[1])
    assert status < 500, answer
    assert b"Unexpected error" not in service.log.encode()


def test_foreign_host_is_refused_before_django_sees_it(service: RunningService) -> None:
    with closing(service.client()) as client:
        answer = client.get("/admin/login/", headers={"Host": "elsewhere"})
    assert_is_problem(answer, 400, "host-not-allowed")
