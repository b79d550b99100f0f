"""CORS: django-cors-headers, which runs on the event loop, asked only when a browser says where it comes from."""

from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest

VARY = (b"vary", b"origin")


class CORSMiddleware(CorsMiddleware):
    """Requests without an Origin, from anything but a browser, pass by for a microsecond rather than thirty."""

    def __call__(self, request: HttpRequest) -> Any:
        if b"origin" in request.raw_headers:  # type: ignore[attr-defined]
            return super().__call__(request)
        # A cache must not give this answer to a page of another origin.
        request.response_headers.append(VARY)  # type: ignore[attr-defined]
        return self.get_response(request)
