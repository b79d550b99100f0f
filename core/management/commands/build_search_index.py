"""manage.py build_search_index"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.resources.search import building
from core.resources.search.tables import searched_tables


class Command(BaseCommand):
    help = "Build missing or incomplete search indexes (q=…). The service can run and write meanwhile."

    def handle(self, *_: Any, **__: Any) -> None:
        for table in searched_tables():
            if reason := building.build(table):
                raise CommandError(f"{table.name}: {reason}")
            self.stdout.write(f"{table.name}: the search index is complete")
