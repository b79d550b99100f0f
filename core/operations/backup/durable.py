"""File operations that survive a power failure."""

import hashlib
import os
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


def create_private(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def put_on_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_with_checksum(source: Path, target: Path) -> str:
    """Copy to a new private file, flush it to the disk, and return the checksum of the copied bytes."""
    create_private(target)
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            digest.update(chunk)
            writing.write(chunk)
    put_on_disk(target)
    return digest.hexdigest()
