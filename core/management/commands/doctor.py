"""manage.py doctor"""

import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from core.operations.doctor.examination import examine
from core.operations.doctor.findings import Level
from core.operations.doctor.presentation import as_json, as_lines, worst


class Command(BaseCommand):
    """Changes nothing, and may be run beside the service."""

    help = (
        "Looks at what the service runs on: configuration, secrets, database, backups, Redis, clock, workers, proxies, "
        "files. Says what is wrong and how to mend it. Exit code 1 if anything is as bad as --fail-level."
    )
    # It does them itself, and tells of them with the rest.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument(
            "--fail-level",
            choices=["warning", "error"],
            default="error",
            help="what ends with exit code 1 (default: error)",
        )

    def handle(self, *_: Any, fail_level: str, **options: Any) -> None:
        # What they would log, they find; and stdout is the report's.
        logging.disable()
        try:
            found = examine()
        finally:
            logging.disable(logging.NOTSET)
        if options["json"]:
            self.stdout.write(as_json(found))
        else:
            for line in as_lines(found, self.style):
                self.stdout.write(line)
        if worst(found) >= Level[fail_level.upper()]:
            sys.exit(1)
