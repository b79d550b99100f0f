"""The Django app `core`."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Owns the models of `core.models`: idempotency records, the cache epoch and the operators' permission."""

    name = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from core.database import case_folding
        from core.ratelimit import checks  # noqa: F401  # registers its system check

        case_folding.install()
