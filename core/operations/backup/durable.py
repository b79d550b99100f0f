"""Files that are either whole and on the disk, or not there."""

import hashlib
import os
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


def create_private(path: Path) -> None:
    """Makes an empty file that only its owner may read (0600). Raises FileExistsError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def put_on_disk(path: Path) -> None:
    """Waits until what was written to a file (or the entries of a folder) would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_with_checksum(source: Path, target: Path) -> str:
    """Copies into a new private file, puts it on the disk, and returns the checksum of what was copied."""
    create_private(target)
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            digest.update(chunk)
            writing.write(chunk)
    put_on_disk(target)
    return digest.hexdigest()
