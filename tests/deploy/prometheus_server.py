"""A private Prometheus with the repository's configuration and rules, which scrapes a test's service."""

import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.deploy.tools import tool
from tests.ports import free_port
from tests.running_service import PROJECT

FOLDER = PROJECT / "deploy" / "prometheus"
FROM = "apt install prometheus"
SECONDS = 60.0


def promtool(*arguments: str) -> str:
    """Run promtool and return its output; fail if promtool fails."""
    done = subprocess.run([tool("promtool", FROM), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rule_groups() -> list[dict[str, Any]]:
    """Return the groups of all rule files."""
    files = sorted((FOLDER / "rules").glob("*.yml"))
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


class PrometheusServer:
    """Scrapes and evaluates twice a second. `target` is the service's host and port."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder, self.port = folder, free_port()
        self.program = tool("prometheus", FROM)
        self.process: subprocess.Popen[bytes] | None = None
        configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        configuration["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "500ms")
        [job, *_] = configuration["scrape_configs"]
        # Replace the host names of Compose.
        configuration["scrape_configs"] = [{"job_name": job["job_name"], "static_configs": [{"targets": [target]}]}]
        (folder / "rules").mkdir()
        groups = [{**group, "interval": "500ms"} for group in rule_groups()]
        (folder / "rules" / "all.yml").write_text(yaml.safe_dump({"groups": groups}))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def __enter__(self) -> Self:
        command = [
            self.program,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
        ]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        with (self.folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while not self.is_ready():
            assert self.process.poll() is None, (self.folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def is_ready(self) -> bool:
        """Return whether Prometheus answers queries."""
        try:
            return self._get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the current series of an expression. Fail if the expression is invalid."""
        answer = self._get("/api/v1/query", query=expression)
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def api(self, path: str) -> Any:
        """Return the data of an API endpoint."""
        return self._get(f"/api/v1/{path}").json()["data"]

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", params=parameters, trust_env=False, timeout=SECONDS)
