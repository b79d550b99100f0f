"""The Django app of accounts, sessions and API keys."""

from django.apps import AppConfig

from core import purging


class AuthConfig(AppConfig):
    """Its label is `accounts`: `auth` is taken by Django's own app of groups and permissions."""

    name = "core.auth"
    label = "accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from core.auth import purgers, signals  # noqa: F401  # connects its receivers

        for name, purge in purgers.PURGERS.items():
            purging.register(name, purge)
