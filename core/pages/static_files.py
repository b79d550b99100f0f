"""Static files of the service and the installed apps, served from memory and without a build step.

A request's path is only looked up in the list of Django's finders, so a path cannot reach any other file.
WhiteNoise is synchronous middleware, which would cost every request two thread hops.
"""

import asyncio
import mimetypes
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpResponse

from core.http.problem_responses import problem_response
from core.http.problems import MethodNotAllowed, NotFound
from core.http.request import Request
from core.http.responses import empty_response
from core.pages.document import StaticDocument

# The machine's own table of media types differs between machines.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"

_loaded: dict[str, StaticDocument] = {}


class VersionedStorage(StaticFilesStorage):
    """Adds the file's digest to static URLs, so that browsers may cache each version permanently."""

    def url(self, name: str | None, force: bool = False) -> str:
        url: str = super().url(name)
        found = load_file(name or "")
        return f"{url}?v={found.digest}" if found else url


async def serve_static_file(request: Request, path: str) -> HttpResponse:
    allow = {"Allow": "GET, HEAD, OPTIONS"}
    if request.method == "OPTIONS":
        return empty_response(headers=allow)
    if request.method not in ("GET", "HEAD"):
        return problem_response(request, MethodNotAllowed(headers=allow))
    found = _loaded.get(path) or await asyncio.to_thread(load_file, path)
    if found is None:
        return problem_response(request, NotFound())
    is_versioned = request.GET.get("v") == found.digest
    return found.respond(request, cache_control=FOREVER if is_versioned else "no-cache")


async def serve_favicon(request: Request) -> HttpResponse:
    # Browsers request /favicon.ico when they show JSON.
    return await serve_static_file(request, "docs/favicon.svg")


def load_file(name: str) -> StaticDocument | None:
    """Return the file of this name below STATIC_URL, or None. With DEBUG, read the file on each call."""
    found = _loaded.get(name)
    if found is not None and not settings.DEBUG:
        return found
    path = _paths().get(name)
    if path is None:
        return None
    loaded = StaticDocument(path.read_bytes(), content_type_of(name))
    if not settings.DEBUG:
        _loaded[name] = loaded
    return loaded


@cache
def _paths() -> dict[str, Path]:
    # Like Django, prefer the first of several files with the same name.
    paths: dict[str, Path] = {}
    for finder in get_finders():
        for name, storage in finder.list([]):
            paths.setdefault(name, Path(storage.path(name)))
    return paths


def content_type_of(name: str) -> str:
    return TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
