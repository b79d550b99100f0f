"""GET /: JSON for programs, a page for browsers."""

import pytest
from django.conf import settings

from core.pages import root
from tests.asgi_client import fetch
from tests.core.pages.pages import Page, policy

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_json_tells_what_it_is_and_where_everything_is() -> None:
    answer = fetch("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["name"] == settings.APP_NAME
    assert told["version"] == settings.APP_VERSION
    assert told["environment"] == settings.APP_ENV
    assert {"docs", "openapi", "live", "ready", "metrics", "v1"} <= set(told["links"])


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "image/png"])
def test_json_unless_html_is_preferred(accept: str) -> None:
    assert fetch("/", accept=accept).headers["content-type"] == "application/json"


def test_browsers_get_a_page() -> None:
    answer = fetch("/", accept=BROWSER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert settings.APP_NAME in answer.text
    assert {"/docs", "/openapi.json", "/health/ready", "/metrics"} <= set(page.links)
    assert not page.inline
    assert [fetch(url).status for url in page.loads] == [200] * len(page.loads)
    assert policy(answer.headers["content-security-policy"])["default-src"] == ["'none'"]


def test_both_forms_name_what_they_depend_on_and_have_etags_of_their_own() -> None:
    json, html = fetch("/"), fetch("/", accept=BROWSER)
    assert "Accept" in json.headers["vary"]
    assert "Accept" in html.headers["vary"]
    assert json.headers["etag"] != html.headers["etag"]
    assert fetch("/", if_none_match=json.headers["etag"]).status == 304
    assert fetch("/", if_none_match=json.headers["etag"], accept=BROWSER).status == 200


def test_links_lead_somewhere() -> None:
    # The health and metrics pages look at the database, and have tests of their own.
    for name in ("docs", "openapi", "problems"):
        assert fetch(root.LINKS[name]).status == 200, name


@pytest.mark.parametrize("is_enabled", [True, False])
def test_admin_is_linked_where_it_is_enabled(is_enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ADMIN_ENABLED", is_enabled)
    links = root.describe_service()["links"]
    assert isinstance(links, dict)
    assert ("admin" in links) is is_enabled


def test_head_and_other_methods() -> None:
    assert fetch("/", method="HEAD").status == 200
    answer = fetch("/", method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
