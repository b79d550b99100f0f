"""The app that replaces "django.contrib.admin" in INSTALLED_APPS."""

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig


class AgentRouterAdminConfig(SimpleAdminConfig):
    """Make `django.contrib.admin.site` this service's site, so that resources register as in any Django project."""

    default_site = "core.admin_site.site.AgentRouterAdminSite"

    def ready(self) -> None:
        super().ready()
        admin.autodiscover()
        # These modules register models, which Django loads before it calls `ready`.
        from core.admin_site import idempotency_records  # noqa: F401
        from core.admin_site.accounts import access, events, groups, users  # noqa: F401
