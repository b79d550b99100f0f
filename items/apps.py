"""The Django app of items."""

from django.apps import AppConfig


class ItemsConfig(AppConfig):
    """Items: the resource to copy for the next one."""

    name = "items"
    default_auto_field = "django.db.models.BigAutoField"
