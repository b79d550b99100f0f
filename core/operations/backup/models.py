"""The record of the last backup."""

from __future__ import annotations

from django.db import models

ONLY_ID = 1


class LastBackup(models.Model):
    """A single row: the newest backup that was finished and checked.

    The database holds it because the service may have no access to the backup files.
    """

    id = models.SmallIntegerField(primary_key=True, default=ONLY_ID, editable=False)
    created_at = models.DateTimeField(help_text="The moment whose state it holds.")
    file = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    seconds = models.FloatField()

    class Meta:
        db_table = "last_backup"

    def __str__(self) -> str:
        return self.file
