"""manage.py startresource"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.management.scaffold import ScaffoldError, create, names_of


class Command(BaseCommand):
    help = "Creates a resource beside items: its package, its tests and its wiring."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the name of the resource, such as orders")
        parser.add_argument("--singular", default="", help="the name of one of them, if the plural is irregular")

    def handle(self, *_: Any, name: str, singular: str, **__: Any) -> None:
        try:
            names = names_of(name, singular=singular)
            done = create(settings.BASE_DIR, names)
        except ScaffoldError as error:
            raise CommandError(str(error)) from None
        for line in done:
            self.stdout.write(f"  {line}")
        self.stdout.write(f"""
/v1/{names.plural}/ works after the next migration. Next:

  1. Change the fields in {names.plural}/models.py, schemas.py and examples.py, and in their tests.
     Then run: make manage ARGS="makemigrations {names.plural}"
  2. Change the filters in {names.plural}/lists.py, and the sorts in schemas.py with their indexes in models.py.
  3. Run: make check && make test ARGS="tests/{names.plural}"
""")
