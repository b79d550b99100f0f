"""/docs: its own files, a strict policy, and Swagger UI as its makers published it."""

import hashlib
from importlib.resources import files

from django.conf import settings

from tests.asgi_client import fetch
from tests.core.pages.pages import Page, policy

VENDORED = files("core.pages") / "static/docs/swagger-ui"


def test_page_loads_only_files_of_the_service() -> None:
    answer = fetch("/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert settings.APP_NAME in answer.text
    page = Page(answer.text)
    assert not page.inline
    assert len(page.loads) == 5
    for url in page.loads:
        assert url.startswith("/static/")
        assert fetch(url).status == 200


def test_policy_is_strict() -> None:
    directives = policy(fetch("/docs").headers["content-security-policy"])
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == ["'self'"]
    assert directives["frame-ancestors"] == ["'none'"]


def test_unchanged_page_is_304() -> None:
    assert fetch("/docs", if_none_match=fetch("/docs").headers["etag"]).status == 304


def test_script_loads_the_document_of_this_service() -> None:
    script = fetch("/static/docs/docs.js").text
    assert 'url: "/openapi.json"' in script
    assert "validatorUrl: null" in script


def test_swagger_ui_is_unmodified_and_has_its_license() -> None:
    readme = (VENDORED / "README.md").read_text()
    sums = [line.split() for line in readme.splitlines() if line.startswith("    ")]
    assert len(sums) == 4
    for expected, name in sums:
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == expected, name
    for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"):
        assert (VENDORED / name).is_file()
