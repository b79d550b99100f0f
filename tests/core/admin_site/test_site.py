"""The admin site replaces Django's and has its own templates and links."""

from pathlib import Path

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.template import Engine
from django.test import RequestFactory

from core.admin_site.site import AgentRouterAdminSite
from tests.asgi_client import fetch

TEMPLATES = Path(__file__).parents[3] / "core/templates/admin"


def test_models_register_on_the_services_site() -> None:
    assert isinstance(admin.site, AgentRouterAdminSite)
    assert admin.site.site_header == "Agent Router"
    assert apps.get_model("items.Item") in admin.site._registry


def test_own_templates_precede_djangos() -> None:
    # This holds while `core` comes before the admin in INSTALLED_APPS.
    engine = Engine.get_default()
    for name in ("base_site.html", "index.html"):
        found = engine.get_template(f"admin/{name}")
        assert Path(found.origin.name) == TEMPLATES / name


def test_every_page_has_the_services_name_and_links() -> None:
    request = RequestFactory().get("/admin/")
    request.user = AnonymousUser()
    context = admin.site.each_context(request)
    assert context["service_environment"] == "test"
    assert ("/docs", "Documentation") in [link[:2] for link in context["service_links"]]


def test_admin_without_its_slash_redirects() -> None:
    answer = fetch("/admin")
    assert (answer.status, answer.headers["location"]) == (301, "/admin/")
