"""ETags, 304 and gzip of static documents."""

import gzip
import random

import pytest
from django.test import RequestFactory

from core.pages.document import COMPRESS_FROM_BYTES, StaticDocument, accepts_gzip

LONG = StaticDocument(b"body { color: red }\n" * 200, "text/css; charset=utf-8")
SHORT = StaticDocument(b"{}", "application/json")
get = RequestFactory().get


def test_short_bodies_and_images_are_not_compressed() -> None:
    assert SHORT.gzipped is None
    assert StaticDocument(b"\x89PNG" * COMPRESS_FROM_BYTES, "image/png").gzipped is None
    assert LONG.gzipped is not None
    assert gzip.decompress(LONG.gzipped) == LONG.body


def test_body_that_gzip_would_enlarge_is_not_compressed() -> None:
    noise = random.Random(1).randbytes(COMPRESS_FROM_BYTES)
    assert StaticDocument(noise, "text/plain").gzipped is None


def test_uncompressed_response() -> None:
    response = LONG.respond(get("/"), cache_control="public", vary="Accept")
    assert (response.status_code, response.content) == (200, LONG.body)
    assert response["Content-Type"] == LONG.content_type
    assert response["ETag"] == f'"{LONG.digest}"'
    assert response["Cache-Control"] == "public"
    assert response["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in response


def test_compressed_response_has_another_etag() -> None:
    response = LONG.respond(get("/", headers={"Accept-Encoding": "br, gzip"}))
    assert gzip.decompress(response.content) == LONG.body
    assert response["Content-Encoding"] == "gzip"
    assert response["ETag"] == f'"{LONG.digest}-gzip"'


def test_document_without_gzip_does_not_vary() -> None:
    assert "Vary" not in SHORT.respond(get("/", headers={"Accept-Encoding": "gzip"}))


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_matching_if_none_match_returns_304_without_a_body(form: str) -> None:
    tag = f'"{LONG.digest}"'
    response = LONG.respond(get("/", headers={"If-None-Match": form.format(tag)}))
    assert (response.status_code, response.content) == (304, b"")
    assert (response["ETag"], response["Vary"]) == (tag, "Accept-Encoding")
    assert response["Cache-Control"] == "no-cache"


def test_304_depends_on_the_encoding() -> None:
    tags = (f'"{LONG.digest}"', f'"{LONG.digest}-gzip"')
    statuses = [
        LONG.respond(get("/", headers={"If-None-Match": tag, "Accept-Encoding": "gzip"})).status_code for tag in tags
    ]
    assert statuses == [200, 304]


@pytest.mark.parametrize("value", ['"other"', "garbage", '"'])
def test_other_if_none_match_returns_the_body(value: str) -> None:
    assert LONG.respond(get("/", headers={"If-None-Match": value})).status_code == 200


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("GZIP;Q=1.0", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*", False),
        ("x-gzipped", False),
    ],
)
def test_accept_encoding(value: str, expected: bool) -> None:
    assert accepts_gzip(value) is expected
