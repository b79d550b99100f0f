"""Model fields that Django lacks."""

from __future__ import annotations

from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db import models


class JSONTextField(models.TextField):  # type: ignore[type-arg]
    """JSON as compact text, which responses copy unchanged. PostgreSQL's jsonb loses number formats and key order."""

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return None if value is None else orjson.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None or hasattr(value, "resolve_expression") else orjson.dumps(value).decode()

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise ValidationError("This is not JSON.", code="invalid") from None

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)
