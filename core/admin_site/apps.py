"""Takes the place of "django.contrib.admin" in INSTALLED_APPS."""

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig

from core.admin_site.loading import admin_loading


class AgentRouterAdminConfig(SimpleAdminConfig):
    """Makes `django.contrib.admin.site` this service's site, so that models need to know nothing of it."""

    default_site = "core.admin_site.site.AgentRouterAdminSite"

    def ready(self) -> None:
        """Has every app's admin.py register its models, if that is not for later."""
        super().ready()
        if not admin_loading.is_put_off:
            admin.autodiscover()
