"""Litestream with the repository's configuration on a free port, and an S3 server."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.databases import query
from tests.deploy.tools import litestream, tool
from tests.ports import free_port
from tests.running_service import INHERITED, PROJECT

CONFIG = PROJECT / "deploy" / "litestream.yml"
SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the condition; fail after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.2)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run an S3 server with one bucket, and yield the replica's URL."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        tool("moto_server", "pip install 'moto[s3]' flask flask-cors"),
        "-H",
        "127.0.0.1",
        "-p",
        url.rpartition(":")[2],
    ]

    def makes_bucket() -> bool:
        try:
            return httpx.put(f"{url}/backups", trust_env=False, timeout=SECONDS).is_success
        except httpx.TransportError:
            return False

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(makes_bucket)
            yield f"s3://backups/agent-router?endpoint={url}&region=us-east-1"
        finally:
            process.kill()


class Replication:
    """One database and its replica. `environment` tells Litestream where both are."""

    def __init__(self, database: Path, replica: str, folder: Path) -> None:
        self.database, self.folder, self.port = database, folder, free_port()
        self.config = folder / "litestream.yml"
        self.config.write_text(CONFIG.read_text().replace('addr: ":9090"', f'addr: "127.0.0.1:{self.port}"'))
        self.environment = {
            **INHERITED,
            "LITESTREAM_CONFIG": str(self.config),
            "LITESTREAM_DATABASE": str(database),
            "LITESTREAM_REPLICA_URL": replica,
            "LITESTREAM_ACCESS_KEY_ID": "key",
            "LITESTREAM_SECRET_ACCESS_KEY": "secret",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "litestream.log").open("ab") as log:
            command = [litestream(), "replicate", "-config", str(self.config)]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def metric(self, name: str) -> float:
        """Return the sum of a metric over all labels."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name}{{"))

    def restore(self, target: Path) -> bool:
        """Restore into a file and check it. Return False if there is no replica yet."""
        target.unlink(missing_ok=True)
        command = [litestream(), "restore", "-config", str(self.config), "-integrity-check", "full", "-o", str(target)]
        done = subprocess.run(
            [*command, str(self.database)], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode == 0

    def restored_items(self) -> int:
        """Restore, and return the number of items; -1 if there is no replica yet."""
        target = self.folder / "restored.db"
        if not self.restore(target):
            return -1
        return int(query(f"sqlite:///{target}", "SELECT count(*) FROM item")[0][0])
