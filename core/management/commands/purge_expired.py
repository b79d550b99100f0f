"""manage.py purge_expired"""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.auth.purgers import PURGERS, Purge
from core.resources import idempotency

BATCH_SIZE = 500
# Lets other writers on SQLite take their turn between two batches.
PAUSE_SECONDS = 0.02
# By the name that the command prints.
PURGES: dict[str, Purge] = {"idempotency records": idempotency.purge, **PURGERS}


class Command(BaseCommand):
    help = (
        "Delete expired rows: idempotency records, refresh tokens, sessions and others. Run it daily. The service can "
        "run meanwhile, because each batch has its own transaction."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch-size", type=int, default=BATCH_SIZE, help=f"rows per batch (default: {BATCH_SIZE})"
        )

    def handle(self, *_: Any, batch_size: int, **__: Any) -> None:
        if batch_size < 1:
            raise CommandError("--batch-size must be at least 1")
        for name, purge in PURGES.items():
            self.stdout.write(f"{name}: {_purge_all(purge, batch_size)}")


def _purge_all(purge: Purge, batch_size: int) -> int:
    total = 0
    while deleted := purge(batch_size):
        total += deleted
        if deleted < batch_size:
            break
        time.sleep(PAUSE_SECONDS)
    return total
