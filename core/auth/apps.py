"""The Django app of accounts, sessions and API keys."""

from django.apps import AppConfig


class AuthConfig(AppConfig):
    """Labelled `accounts`, because the label `auth` belongs to Django's own app."""

    name = "core.auth"
    label = "accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from core.auth import signals  # noqa: F401  # connects its receivers
