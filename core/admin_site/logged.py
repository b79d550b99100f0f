"""Log lines for the changes that staff make. Django's own record of them is only in the database."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import transaction

logger = logging.getLogger("agent_router.admin")


class LoggedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Logs a line for each entry of Django's admin log, after the commit. The line contains no values."""

    def log_addition(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_addition(*arguments, **options))

    def log_change(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_change(*arguments, **options))

    def log_deletions(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_deletions(*arguments, **options))


def _log_entries(logged: Any) -> Any:
    entries: Iterable[LogEntry] = [logged] if isinstance(logged, LogEntry) else logged
    for entry in entries:
        fields = {
            "user_id": str(entry.user_id),
            "action": entry.get_action_flag_display().lower(),
            "model": f"{entry.content_type.app_label}.{entry.content_type.model}" if entry.content_type else "",
            "object_id": str(entry.object_id),
        }
        transaction.on_commit(partial(logger.info, "Changed in the admin", extra=fields))
    return logged
