"""The migration operation that builds the index of a searched resource."""

import logging
from typing import Any

from django.db.migrations.operations.base import Operation

from core.resources.search import building
from core.resources.search.tables import SearchedTable

logger = logging.getLogger("agent_router.search")


class BuildSearchIndex(Operation):
    """Build the index of a model's searched fields, in a separate migration with `atomic = False`.

    If the database cannot have such an index, the migration logs a warning and succeeds. Searches then read every row.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, model_name: str, fields: tuple[str, ...]) -> None:
        self.model_name, self.fields = model_name, fields

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if reason := building.build(self._table(app_label, to_state)):
            logger.warning("No index for searches in %s. %s", self.model_name, reason)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        building.drop(self._table(app_label, to_state))

    def describe(self) -> str:
        return f"Builds the search index of {self.model_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name.lower()}_search_index"

    def _table(self, app_label: str, state: Any) -> SearchedTable:
        return SearchedTable.of_fields(state.apps.get_model(app_label, self.model_name), self.fields)
