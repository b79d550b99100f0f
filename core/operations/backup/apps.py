"""The Django app of backups, for its model."""

from django.apps import AppConfig


class BackupConfig(AppConfig):
    name = "core.operations.backup"
    label = "backup"
