"""Template filters for the history of an object in the admin."""

from django import template

from core.admin_site.changes import changes_of, version_of

register = template.Library()
register.filter("changes", changes_of)
register.filter("new_version", version_of)
