"""Replaces "django.contrib.admin" in INSTALLED_APPS."""

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig


class AgentRouterAdminConfig(SimpleAdminConfig):
    """Make `django.contrib.admin.site` this service's site, so that resources register as in any Django project."""

    default_site = "core.admin_site.site.AgentRouterAdminSite"

    def ready(self) -> None:
        """Register the models of every app's admin.py, then those of core."""
        super().ready()
        admin.autodiscover()
        from core.admin_site import idempotency_records  # noqa: F401  # registers its model
        from core.admin_site.accounts import access, events, groups, users  # noqa: F401  # register theirs
