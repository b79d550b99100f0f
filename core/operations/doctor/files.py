"""Files that are installed with the code, and memory for the workers' metrics."""

import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from core.operations.doctor.findings import Finding, error, ok, warning
from core.operations.doctor.workers import count_workers
from core.pages.static_files import load_file
from core.telemetry import multiprocess

STATIC_FILES = (
    "docs/swagger-ui/swagger-ui-bundle.js",
    "docs/swagger-ui/swagger-ui.css",
    "docs/docs.js",
    "docs/page.css",
)
ADMIN_FILES = ("admin/css/base.css", "admin/js/core.js")
PAGES = ("docs/docs.html", "docs/problem.html", "docs/problems.html")


def check() -> Iterator[Finding]:
    static = (*STATIC_FILES, *(ADMIN_FILES if settings.ADMIN_ENABLED else ()))
    missing = [name for name in static if load_file(name) is None]
    missing += [name for name in PAGES if not _has_template(name)]
    if missing:
        yield error(f"Files are missing: {', '.join(missing)}", "Reinstall the service with all of its folders")
    else:
        yield ok("Static files and pages are installed")
    yield from _metrics_memory(multiprocess.MEMORY)


def _metrics_memory(memory: Path) -> Iterator[Finding]:
    if count_workers() > 1 and not os.environ.get(multiprocess.VARIABLE) and not os.access(memory, os.W_OK):
        yield warning(
            f"{memory} is not writable: the workers' metrics are on the disk, and a full disk would kill the workers",
            "Mount a tmpfs there, or set PROMETHEUS_MULTIPROC_DIR to a folder in memory",
        )


def _has_template(name: str) -> bool:
    try:
        get_template(name)
    except TemplateDoesNotExist:
        return False
    return True
