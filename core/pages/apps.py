"""The Django app with the pages' templates and static files."""

from django.apps import AppConfig


class DocsConfig(AppConfig):
    name = "core.pages"
    label = "docs"
