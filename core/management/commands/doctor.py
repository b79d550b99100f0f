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
    help = (
        "Check configuration, secrets, database, backups, Redis, clock, workers, proxies, files and tracing. Changes "
        "nothing. Prints each problem with its remedy, and exits with 1 if a problem reaches --fail-level."
    )
    # The doctor runs the system checks itself, and reports their results as findings.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")
        parser.add_argument(
            "--fail-level",
            choices=["warning", "error"],
            default="error",
            help="lowest level that makes the command exit with 1 (default: error)",
        )

    def handle(self, *_: Any, fail_level: str, **options: Any) -> None:
        # Findings repeat what the checks log, and log lines on stdout would break the JSON.
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
