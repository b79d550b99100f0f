"""Documents that do not change while the process runs: sent with an ETag, and compressed if that saves bytes."""

import gzip
import hashlib
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.utils.http import parse_etags

from core.http.accept import prefers
from core.http.request import Request
from core.http.security_headers import PAGE_POLICY

JSON, HTML = "application/json", "text/html; charset=utf-8"
COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg+xml")
# A smaller body fits into one network packet anyway.
COMPRESS_FROM_BYTES = 1400


class StaticDocument:
    """A body and its media type. `digest` identifies the content; `gzipped` is None if gzip saves nothing."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body, self.content_type = body, content_type
        self.digest = hashlib.sha256(body).hexdigest()[:20]
        self.gzipped = _compressed(body, content_type)

    def respond(self, request: HttpRequest, *, cache_control: str = "no-cache", vary: str = "") -> HttpResponse:
        """Answer GET or HEAD: 200, or 304 if If-None-Match has the ETag (RFC 9110, section 13.1.2)."""
        body, etag = self.body, f'"{self.digest}"'
        headers = {"Cache-Control": cache_control}
        if self.gzipped is not None:
            vary = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
            if accepts_gzip(request.headers.get("Accept-Encoding", "")):
                # Strong ETags identify bytes, so each encoding needs a different one.
                body, etag = self.gzipped, f'"{self.digest}-gzip"'
                headers["Content-Encoding"] = "gzip"
        if vary:
            headers["Vary"] = vary
        headers["ETag"] = etag
        if _matches(etag, request.headers.get("If-None-Match", "")):
            headers.pop("Content-Encoding", None)
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(body, content_type=self.content_type, headers=headers)


class NegotiatedDocument:
    """A document in JSON for programs, and as the page of a template for browsers, which prefer HTML."""

    def __init__(self, content: dict[str, Any], template: str, **page_context: Any) -> None:
        self._json = StaticDocument(orjson.dumps(content), JSON)
        self._page = StaticDocument(render_to_string(template, content | page_context).encode(), HTML)

    def respond(self, request: Request) -> HttpResponse:
        if not prefers(request.list_header(b"accept"), "text/html", over=JSON):
            return self._json.respond(request, vary="Accept")
        response = self._page.respond(request, vary="Accept")
        response["Content-Security-Policy"] = PAGE_POLICY
        return response


def _compressed(body: bytes, content_type: str) -> bytes | None:
    if len(body) < COMPRESS_FROM_BYTES or not content_type.startswith(COMPRESSIBLE):
        return None
    compressed = gzip.compress(body, mtime=0)
    return compressed if len(compressed) < len(body) else None


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip by name (RFC 9110, section 12.5.3)."""
    for element in accept_encoding.lower().split(","):
        coding, _, weight = (part.strip() for part in element.partition(";"))
        if coding == "gzip":
            return not weight or weight.removeprefix("q=").strip("0.") != ""
    return False


def _matches(etag: str, if_none_match: str) -> bool:
    # If-None-Match compares weakly.
    candidates = parse_etags(if_none_match) if if_none_match else []
    return candidates == ["*"] or etag in [candidate.removeprefix("W/") for candidate in candidates]
