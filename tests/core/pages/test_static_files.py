"""Static files: found without a build step, only by listed names, cached by version."""

import gzip
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from pytest_django import Settings

from core.pages import static_files
from core.pages.static_files import FOREVER, content_type_of, load_file
from tests.asgi_client import fetch

BUNDLE = "docs/swagger-ui/swagger-ui-bundle.js"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        (BUNDLE, "text/javascript; charset=utf-8"),
        ("docs/docs.css", "text/css; charset=utf-8"),
        ("docs/favicon.svg", "image/svg+xml"),
        ("docs/swagger-ui/favicon-32x32.png", "image/png"),
        ("core/admin.css", "text/css; charset=utf-8"),
        ("admin/css/base.css", "text/css; charset=utf-8"),
        ("admin/img/icon-yes.svg", "image/svg+xml"),
        ("admin/js/vendor/jquery/LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_file_is_served_with_its_type(name: str, content_type: str) -> None:
    answer = fetch(f"/static/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "nope.css",
        "",
        "docs",
        "docs/",
        "../settings.py",
        "docs/../../../errors.py",
        "docs/../docs/docs.css",
        "/etc/passwd",
        "//docs/docs.css",
        "docs\\docs.css",
        "docs/docs.css\x00",
        "docs/docs.css/",
        "DOCS/docs.css",
    ],
)
def test_only_listed_names_are_found(path: str) -> None:
    answer = fetch(f"/static/{path}")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_source_code_is_served() -> None:
    # Anybody can read the listed files.
    suffixes = {Path(name).suffix for name in static_files._paths()}
    assert suffixes <= {".css", ".js", ".svg", ".png", ".txt", ".md", ".gif", ".map", ".woff", ".woff2", ""}


def test_versioned_url_is_cached_permanently() -> None:
    url = static("docs/docs.css")
    loaded = load_file("docs/docs.css")
    assert loaded is not None
    assert url == f"/static/docs/docs.css?v={loaded.digest}"
    assert fetch(url).headers["cache-control"] == FOREVER


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789", "?w=1"])
def test_other_versions_are_revalidated(query: str) -> None:
    answer = fetch(f"/static/docs/docs.css{query}")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")


def test_url_of_a_missing_file_has_no_version() -> None:
    assert staticfiles_storage.url("docs/nope.css") == "/static/docs/nope.css"


def test_head_has_the_headers_of_get() -> None:
    get, head = (fetch("/static/docs/docs.css", method=method) for method in ("GET", "HEAD"))
    differing = {"x-request-id", "date"}
    assert head.status == 200
    assert {k: v for k, v in head.headers.items() if k not in differing} == {
        k: v for k, v in get.headers.items() if k not in differing
    }


def test_options_lists_allowed_methods() -> None:
    answer = fetch(f"/static/{BUNDLE}", method="OPTIONS")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(method: str) -> None:
    answer = fetch("/static/docs/docs.css", method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.headers["content-type"] == "application/problem+json"


def test_etag_and_gzip() -> None:
    plain = fetch(f"/static/{BUNDLE}")
    zipped = fetch(f"/static/{BUNDLE}", accept_encoding="gzip, deflate, br")
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 3
    again = fetch(f"/static/{BUNDLE}", accept_encoding="gzip", if_none_match=zipped.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert fetch(f"/static/{BUNDLE}", if_none_match=zipped.headers["etag"]).status == 200


def test_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_file("docs/docs.css")
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert load_file("docs/docs.css") is first


def test_debug_reads_files_on_each_request(settings: Settings) -> None:
    settings.DEBUG = True
    first, second = load_file("docs/docs.css"), load_file("docs/docs.css")
    assert first is not None
    assert second is not None
    assert first.body == second.body
    assert first is not second


def test_favicon() -> None:
    answer = fetch("/favicon.ico")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.ico", "image/x-icon"), ("a.gif", "image/gif"), ("LICENSE", "application/octet-stream")],
)
def test_content_type_depends_on_the_suffix(name: str, content_type: str) -> None:
    assert content_type_of(name) == content_type
