#!/usr/bin/env python3
"""Django's command line: `python manage.py help` lists the commands."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import Error

from core.database.failures import operator_advice


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
    try:
        execute_from_command_line(sys.argv)
    except Error as error:
        if "--traceback" in sys.argv or (advice := operator_advice(error)) is None:
            raise
        sys.exit(advice)


if __name__ == "__main__":
    main()
