"""The admin site: its templates, log-in form, links and front page."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest

from core.admin_site.accounts.forms import LoginForm
from core.admin_site.overview.panels import front_page

LINKS = (
    ("/docs", "Documentation", "read about each operation and try it"),
    ("/health/ready", "Readiness", "the service and its dependencies"),
    ("/metrics", "Metrics", "for Prometheus"),
    ("/problems/", "Problems", "the meaning of each error"),
)


class AgentRouterAdminSite(AdminSite):
    # Templates in core/templates/admin replace Django's, because `core` comes first in INSTALLED_APPS.
    login_form = LoginForm
    site_header = "Agent Router"
    site_title = "Agent Router"
    index_title = "Overview"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {
            "service_links": LINKS,
            "service_name": settings.APP_NAME,
            "service_version": settings.APP_VERSION,
            "service_environment": settings.APP_ENV,
        }

    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().index(request, front_page(request) | (extra_context or {}))
