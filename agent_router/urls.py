"""Where requests come in: the plain views and Django's own pages. The API's paths are those of `agent_router.api`."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, path

from agent_router.api import api
from core import health, metrics, problem_pages, root, static_files
from core.docs.views import docs
from core.openapi.views import openapi_view

urlpatterns: list[URLPattern | URLResolver] = [
    path("", root.root),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/startup", health.startup),
    path("metrics", metrics.metrics_view),
    path("docs", docs),
    path("openapi.json", openapi_view(api)),
    path("problems/", problem_pages.problem_index),
    path("problems/<slug>", problem_pages.problem_page),
    path("favicon.ico", static_files.serve_favicon),
    path("static/<path:path>", static_files.serve_static_file),
]
if settings.ADMIN_ENABLED:
    # By name, so that it is loaded with the first of its pages, or by core/admin_site/loading.py before.
    admin_pages = ("core.admin_site.urls", "admin", "admin")
    urlpatterns += [path("admin", root.redirect_to_admin), path("admin/", admin_pages)]
