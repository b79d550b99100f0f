"""The Django app of what every resource needs."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Its models are the idempotency records."""

    name = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from core import idempotency, purging
        from core.database import search
        from core.ratelimit import checks  # noqa: F401  registers itself

        search.install()
        purging.register("idempotency records", idempotency.purge)
