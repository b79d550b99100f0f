"""Template filters for the history of an object in the admin."""

from django import template
from django.contrib.admin.models import LogEntry

from core.admin_site.changes import Change, changes_of, version_of

register = template.Library()


@register.filter
def changes(entry: LogEntry) -> list[Change]:
    return changes_of(entry)


@register.filter
def new_version(entry: LogEntry) -> int | None:
    return version_of(entry)
