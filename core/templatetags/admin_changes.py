"""For the history of an object in the admin."""

from django import template
from django.contrib.admin.models import LogEntry

from core.admin_site.changes import Change, changes_of, version_of

register = template.Library()


@register.filter
def changes(entry: LogEntry) -> list[Change]:
    """The differences that a log entry keeps."""
    return changes_of(entry)


@register.filter
def made_version(entry: LogEntry) -> int | None:
    """The version that the change has made."""
    return version_of(entry)
