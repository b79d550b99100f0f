"""Free space on disks, and network file systems."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from core.operations.doctor.findings import Finding, error, ok, warning

MIB = 1024 * 1024
ERROR_BYTES = 100 * MIB
WARNING_BYTES, WARNING_SHARE = 1024 * MIB, 0.1
MOUNTS = Path("/proc/self/mountinfo")
# SQLite's WAL mode needs shared memory and reliable locks, which network file systems do not offer.
NETWORK_TYPES = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "glusterfs", "ceph", "afs")


def room(folder: Path, purpose: str, needed_bytes: int = 0) -> Iterator[Finding]:
    """Compare the free space on a folder's disk with `needed_bytes` and general limits."""
    usage = shutil.disk_usage(folder)
    message = f"{usage.free // MIB} MiB are free for {purpose} ({folder})"
    remedy = "Free some space, or move to a larger disk. On a full disk every change gets 503"
    if usage.free < max(ERROR_BYTES, needed_bytes):
        yield error(message, remedy)
    elif usage.free < min(WARNING_BYTES, usage.total * WARNING_SHARE):
        yield warning(message, remedy)
    else:
        yield ok(message)


def network_type(path: Path) -> str:
    """Return the type of the network file system that holds a path, or "" for a local file system."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:  # not Linux
        return ""
    longest, kind = "", ""
    for line in lines:
        mount, _, rest = line.partition(" - ")
        mount_point = mount.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(mount_point) and len(mount_point) >= len(longest):
            longest, kind = mount_point, rest.split()[0]
    return kind if kind.startswith(NETWORK_TYPES) else ""
