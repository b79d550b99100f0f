"""The manifest beside each backup: what it is, what is in it, and the checksum of its data."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from core.operations.backup.failures import BackupError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a database holds at one moment: its migrations as `app.name`, the rows of each table."""

    engine: str
    engine_version: str
    migrations: list[str]
    rows: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Times are RFC 3339 in UTC; `created_at` is the moment whose state the backup holds."""

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
        """The text of the manifest's file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in a file. Raises BackupError if there is none, or it is not one of ours."""
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if values.get("format") != FORMAT:
                raise BackupError(f"{path} is of another format than this version of the service reads")
            return cls(**values)
        except FileNotFoundError:
            raise BackupError(
                f"there is no {path}: without its manifest nobody can tell whether the backup is whole"
            ) from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BackupError(f"{path} cannot be read as a manifest: {error}") from error
