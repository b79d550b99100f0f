"""Takes the place of "django.contrib.admin" in INSTALLED_APPS."""

from django.contrib.admin.apps import AdminConfig


class AgentRouterAdminConfig(AdminConfig):
    """Makes `django.contrib.admin.site` this service's site, so that models need to know nothing of it."""

    default_site = "core.admin_site.site.AgentRouterAdminSite"
