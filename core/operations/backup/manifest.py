"""The manifest of a backup: origin, contents and checksum of the data."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from core.operations.backup.failures import BackupError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The contents of a database: its migrations as `app.name`, and the number of rows by table."""

    engine: str
    engine_version: str
    migrations: list[str]
    rows: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`created_at` (RFC 3339, UTC) is the moment of the state that the backup holds."""

    file: str
    engine: str
    engine_version: str
    service_version: str
    created_at: str
    seconds: float
    size_bytes: int
    sha256: str
    migrations: list[str]
    rows: dict[str, int]
    format: int = FORMAT

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest from a file. Raises BackupError if the file is missing or not a manifest."""
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if values.get("format") != FORMAT:
                raise BackupError(f"{path} has a format that this version of the service cannot read")
            return cls(**values)
        except FileNotFoundError:
            raise BackupError(f"there is no manifest {path}, so the backup cannot be checked") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BackupError(f"{path} cannot be read as a manifest: {error}") from error
