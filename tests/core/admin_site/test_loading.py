"""A worker answers before the admin is loaded; whoever opens the admin first finds all of it."""

from collections.abc import Callable
from pathlib import Path

from tests.core.test_start import after_start
from tests.running_service import RunningService
from tests.staff_browser import Browser


def test_a_worker_loads_all_of_it_later(tmp_path: Path) -> None:
    script = """
from django.contrib import admin
from core.admin_site.loading import admin_loading
before = len(admin.site._registry)
admin_loading.load()
print(before, sorted(model.__name__ for model in admin.site._registry))"""
    before, _, names = after_start(tmp_path, script).partition(" ")
    assert before == "0"
    for name in ("Item", "User", "Session", "APIKey", "AuditEvent", "IdempotencyRecord"):
        assert repr(name) in names


def test_commands_load_it_at_once(service: RunningService) -> None:
    told = service.manage(
        "shell", "--no-imports", "-c", "from django.contrib import admin; print(admin.site._registry)"
    )
    assert "items.models.Item" in told.stdout


def test_its_first_page_comes_whole_whenever_it_is_asked_for(start: Callable[..., RunningService]) -> None:
    with Browser(start()) as browser:
        assert browser.log_in().status_code == 302
        assert "Items" in browser.get("/admin/")
