"""URLs of the plain views and of Django's own pages. agent_router/api.py has the paths of the API."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path

from agent_router.api import api
from core.operations import health
from core.operations.metrics_endpoint import metrics_view
from core.pages import problems, root, static_files
from core.pages.docs import OpenAPIPage, docs

urlpatterns: list[URLPattern | URLResolver] = [
    path("", root.root),
    path("v1", root.root),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/startup", health.startup),
    path("metrics", metrics_view),
    path("docs", docs),
    path("openapi.json", OpenAPIPage(api).get),
    path("problems/", problems.problem_index),
    path("problems/<slug>", problems.problem_page),
    path("favicon.ico", static_files.serve_favicon),
    path("static/<path:path>", static_files.serve_static_file),
]
if settings.ADMIN_ENABLED:
    urlpatterns += [path("admin", root.redirect_to_admin), path("admin/", admin.site.urls)]
