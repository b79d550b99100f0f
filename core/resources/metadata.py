"""The rules of `metadata`: a free-form JSON object of limited size and depth."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

METADATA_MAX_BYTES, METADATA_MAX_LEVELS = 16 * 1024, 16


def _levels(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_levels, members), default=0)


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    if metadata:
        try:
            size = len(orjson.dumps(metadata))
        except TypeError:  # orjson refuses more than 254 levels
            size = 0
        if size > METADATA_MAX_BYTES:
            raise PydanticCustomError("metadata_too_large", "must be at most 16 KiB as compact JSON")
        if not size or _levels(metadata) > METADATA_MAX_LEVELS:
            raise PydanticCustomError("metadata_too_deep", "must be at most 16 levels deep")
    return metadata


Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_check_metadata),
    Field(description="Any JSON object of at most 16 KiB and 16 levels.", examples=[{"team": "research"}]),
]
