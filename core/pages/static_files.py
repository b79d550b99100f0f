"""Static files, served by the service itself: its own and those of the installed apps, without a build step.

The files are those that Django's finders list when the process first needs one. A request's path is only ever
looked up in that list, so it cannot lead anywhere else. Each file is read once and kept, with its gzip form.

WhiteNoise is not used: it is synchronous middleware, which costs every request of the service two thread
hops.
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
from core.pages.document import Representation

# The type is told by the file's name and must not depend on the machine's own tables.
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

_loaded: dict[str, Representation] = {}


class VersionedStorage(StaticFilesStorage):
    """Gives static URLs the version of their file: browsers keep it until there is another one."""

    def url(self, name: str | None, force: bool = False) -> str:
        """The file's URL; one that does not exist gets a URL without a version."""
        url: str = super().url(name)
        found = load_file(name or "")
        return f"{url}?v={found.digest}" if found else url


async def serve_static_file(request: Request, path: str) -> HttpResponse:
    """GET and HEAD of a static file."""
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
    """/favicon.ico, for which browsers ask when they show JSON."""
    return await serve_static_file(request, "docs/favicon.svg")


def load_file(name: str) -> Representation | None:
    """The file of this name below STATIC_URL, or None. While DEBUG is on it is read anew each time."""
    found = _loaded.get(name)
    if found is not None and not settings.DEBUG:
        return found
    path = _paths().get(name)
    if path is None:
        return None
    loaded = Representation(path.read_bytes(), content_type_of(name))
    if not settings.DEBUG:
        _loaded[name] = loaded
    return loaded


@cache
def _paths() -> dict[str, Path]:
    """Where every static file is; of several with the same name the first counts, as for Django."""
    paths: dict[str, Path] = {}
    for finder in get_finders():
        for name, storage in finder.list([]):
            paths.setdefault(name, Path(storage.path(name)))
    return paths


def content_type_of(name: str) -> str:
    """The media type by the name's suffix."""
    return TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
