"""manage.py build_search_index"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.resources.search import building
from core.resources.search.tables import searched_tables


class Command(BaseCommand):
    """For what a migration could not build, and for what was lost since. Does nothing where all is well."""

    help = "Builds the indexes for searches (q=…) where they are missing. Others can go on to write meanwhile."

    def handle(self, *_: Any, **__: Any) -> None:
        for table in searched_tables():
            if reason := building.build(table):
                raise CommandError(f"{table.name}: {reason}")
            self.stdout.write(f"{table.name}: its search index is whole")
