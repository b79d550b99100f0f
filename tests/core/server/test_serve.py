"""manage.py serve, and plain uvicorn, which serves without the limits of connections."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.server.serve import CannotListenError, check_address
from tests.ports import free_port
from tests.running_service import PROJECT, UVICORN_FLAGS, RunningService
from tests.waiting import await_true

WARNING = "Connections have no limits on slow clients and large heads"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def serve(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py serve where it has to fail."""
    service = RunningService(folder)
    command = [sys.executable, "manage.py", "serve", *arguments]
    environment = service.environment | variables
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_taken_port_is_reported(tmp_path: Path, taken_port: int) -> None:
    done = serve(tmp_path, "--host", "127.0.0.1", "--port", str(taken_port))
    assert done.returncode == 1
    assert f"Port {taken_port} on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_host_that_is_not_of_this_machine_is_reported() -> None:
    with pytest.raises(CannotListenError, match=r"Cannot listen on HOST=192\.0\.2\.1 PORT=8000: "):
        check_address("192.0.2.1", 8000)


@pytest.mark.parametrize("host", ["nowhere.invalid", "1.2.3.4.5", "http://localhost"])
def test_host_without_an_address_is_reported(host: str) -> None:
    with pytest.raises(CannotListenError, match=f"Cannot listen on HOST={host} PORT=8000: "):
        check_address(host, 8000)


def test_free_address_is_accepted() -> None:
    check_address("127.0.0.1", free_port())


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--port", "65536"], {}, "PORT=65536 is not a number from 1 to 65535"),
        ([], {"PORT": "http"}, "PORT=http is not a number from 1 to 65535"),
        ([], {"WORKERS": "0"}, "WORKERS=0 is not a number from 1 to 512"),
        ([], {"WEB_CONCURRENCY": "-1"}, "WORKERS=-1 is not a number from 1 to 512"),
    ],
)
def test_invalid_number_is_reported(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], message: str
) -> None:
    done = serve(tmp_path, *arguments, **variables)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_invalid_settings_are_reported_once_for_several_workers(tmp_path: Path) -> None:
    done = serve(tmp_path, "--workers", "2", RATE_LIMIT="lots")
    assert done.returncode == 1
    assert done.stderr.count("RATE_LIMIT: ") == 1


class ServiceByEnvironment(RunningService):
    """Serves where HOST, PORT and WORKERS say."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("manage.py", "serve")


def test_environment_names_host_port_and_workers(tmp_path: Path) -> None:
    service = ServiceByEnvironment(tmp_path, HOST="127.0.0.1", WORKERS="2")
    service.environment["PORT"] = str(service.port)
    with service, service.client() as client:
        assert client.get("/health/live").headers.get("server") is None
    assert service.log.count("Finished server process") == 2
    assert WARNING not in service.log


class PlainUvicorn(RunningService):
    """Serves as `uvicorn agent_router.asgi:application` does."""

    @property
    def command(self) -> tuple[str, ...]:
        where = ("--port", str(self.port), "--workers", str(self.workers))
        return ("-m", "uvicorn", "agent_router.asgi:application", *where, *UVICORN_FLAGS)


@pytest.mark.parametrize("workers", [1, 2])
def test_plain_uvicorn_serves_and_warns_once_in_each_process(tmp_path: Path, workers: int) -> None:
    with PlainUvicorn(tmp_path, workers=workers) as service, service.client() as client:
        for _ in range(20):
            # A new connection may reach another worker.
            answer = client.get("/", headers={"Connection": "close"})
            assert (answer.status_code, answer.headers.get("server")) == (200, None)
        await_true(lambda: WARNING in service.log)
        service.stop()
        assert 1 <= service.log.count(WARNING) <= workers
        assert service.log.count("PROMETHEUS_MULTIPROC_DIR is not set") == (workers if workers > 1 else 0)


def test_connections_of_the_running_service_are_bounded(start: Callable[..., RunningService]) -> None:
    service = start(workers=2)
    with service.client() as client:
        for _ in range(5):
            answer = client.get("/", headers={"X-Large": "x" * 66_000, "Connection": "close"})
            assert answer.status_code == 431
    assert WARNING not in service.log
