"""GET / and GET /v1: JSON for programs, HTML for browsers."""

import pytest
from django.conf import settings

from core.pages import root
from tests.asgi_client import fetch
from tests.core.pages.pages import Page, policy

PATHS = ["/", "/v1", "/v1/"]
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.parametrize("path", PATHS)
def test_json_names_the_service_and_its_links(path: str) -> None:
    answer = fetch(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["name"] == settings.APP_NAME
    assert body["version"] == settings.APP_VERSION
    assert body["environment"] == settings.APP_ENV
    assert {"docs", "openapi", "live", "ready", "metrics", "v1"} <= set(body["links"])


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "image/png"])
def test_json_unless_html_is_preferred(accept: str) -> None:
    assert fetch("/", accept=accept).headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PATHS)
def test_browsers_get_a_page(path: str) -> None:
    answer = fetch(path, accept=BROWSER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert settings.APP_NAME in answer.text
    assert {"/docs", "/openapi.json", "/health/ready", "/metrics"} <= set(page.links)
    assert not page.inline
    assert [fetch(url).status for url in page.loads] == [200] * len(page.loads)
    assert policy(answer.headers["content-security-policy"])["default-src"] == ["'none'"]


@pytest.mark.parametrize("path", PATHS)
def test_json_and_html_have_different_etags_and_vary_by_accept(path: str) -> None:
    json, html = fetch(path), fetch(path, accept=BROWSER)
    assert "Accept" in json.headers["vary"]
    assert "Accept" in html.headers["vary"]
    assert json.headers["etag"] != html.headers["etag"]
    assert fetch(path, if_none_match=json.headers["etag"]).status == 304
    assert fetch(path, if_none_match=json.headers["etag"], accept=BROWSER).status == 200


def test_links_work() -> None:
    # The health and metrics pages query the database, and are tested elsewhere.
    for name in ("docs", "openapi", "problems", "v1"):
        assert fetch(root.LINKS[name]).status == 200, name


@pytest.mark.parametrize("is_enabled", [True, False])
def test_admin_is_linked_if_enabled(is_enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ADMIN_ENABLED", is_enabled)
    links = root.describe_service()["links"]
    assert isinstance(links, dict)
    assert ("admin" in links) is is_enabled


@pytest.mark.parametrize("path", PATHS)
def test_head_works_and_other_methods_are_405(path: str) -> None:
    assert fetch(path, method="HEAD").status == 200
    answer = fetch(path, method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/", "/v1"])
def test_root_is_not_rate_limited_and_ignores_credentials(path: str) -> None:
    answer = fetch(path, authorization="Bearer nonsense")
    assert answer.status == 200
    assert "ratelimit-policy" not in answer.headers
