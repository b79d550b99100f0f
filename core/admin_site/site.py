"""The admin's front page and frame."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest

from core.admin_site.accounts.log_in_form import LogInForm
from core.admin_site.overview.panels import front_page

LINKS = (
    ("/docs", "Documentation", "every operation, to read and to try out"),
    ("/health/ready", "Readiness", "the service and what it depends on"),
    ("/metrics", "Metrics", "for Prometheus"),
    ("/problems/", "Problems", "what each error means"),
)


class AgentRouterAdminSite(AdminSite):
    """Its templates are in core/templates/admin, found before Django's because `core` is installed first."""

    login_form = LogInForm
    site_header = "Agent Router"
    site_title = "Agent Router"
    index_title = "Overview"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of the admin knows."""
        return super().each_context(request) | {
            "service_links": LINKS,
            "service_name": settings.APP_NAME,
            "service_version": settings.APP_VERSION,
            "service_environment": settings.APP_ENV,
        }

    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The front page, with how the service is."""
        return super().index(request, front_page(request) | (extra_context or {}))
