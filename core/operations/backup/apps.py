"""The Django app of backups."""

from django.apps import AppConfig


class BackupConfig(AppConfig):
    """Its model remembers the last backup, for the metrics."""

    name = "core.operations.backup"
    label = "backup"
    default_auto_field = "django.db.models.BigAutoField"
