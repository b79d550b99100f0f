"""Disks: room, and what kind of file system it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from core.operations.doctor.findings import Finding, error, ok, warning

MIB = 1024 * 1024
TOO_LITTLE_BYTES = 100 * MIB
LITTLE_BYTES, LITTLE_SHARE = 1024 * MIB, 0.1
MOUNTS = Path("/proc/self/mountinfo")
# SQLite's log (WAL) needs memory that all processes share, and locks that hold: neither is to be had over a network.
NETWORK_TYPES = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "glusterfs", "ceph", "afs")


def room(folder: Path, what: str, needed_bytes: int = 0) -> Iterator[Finding]:
    """Whether the disk that a folder is on has room, and for `needed_bytes` in particular."""
    usage = shutil.disk_usage(folder)
    told = f"{usage.free // MIB} MiB are free for {what} ({folder})"
    remedy = "Make room, or move it to a larger disk; a full one turns every change into 503"
    if usage.free < max(TOO_LITTLE_BYTES, needed_bytes):
        yield error(told, remedy)
    elif usage.free < min(LITTLE_BYTES, usage.total * LITTLE_SHARE):
        yield warning(told, remedy)
    else:
        yield ok(told)


def network_type(path: Path) -> str:
    """The type of the file system that a path is on if it is one over a network, else an empty text."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:  # no Linux: nothing is known
        return ""
    found = ("", "")
    for line in lines:
        mount, _, rest = line.partition(" - ")
        place = mount.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = place, rest.split()[0]
    return found[1] if found[1].startswith(NETWORK_TYPES) else ""
