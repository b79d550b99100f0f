"""Under any failure and any input, each log line is JSON, and no secret appears in logs, metrics or responses."""

import json
import secrets
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.faults.stack import Stack
from tests.redis_server import RedisServer
from tests.running_service import PASSWORD, RunningService
from tests.waiting import await_true

ODD = ["%0d%0a%22%7b", "%00%1b[31m", "%e2%80%a8%ff", "x" * 3000, "%5c%22,%22level%22:%22ERROR"]


class Noise:
    """Requests with secrets in every place that might be logged. `responses` has everything that the service sent."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.secrets: list[str] = []
        self.responses = b""

    def secret(self) -> str:
        """Generate a secret."""
        self.secrets.append(f"Canary{secrets.token_hex(12)}")
        return self.secrets[-1]

    def send(self, me: httpx.Client) -> None:
        """Send one round of requests."""
        email: str = me.email  # type: ignore[attr-defined]
        bodies = [
            ("/v1/auth/login", {"email": email, "password": self.secret()}),
            ("/v1/auth/register", {"email": "no address", "password": self.secret()}),
            ("/v1/auth/refresh", {"refresh_token": self.secret()}),
            ("/v1/auth/password", {"current_password": self.secret(), "new_password": self.secret()}),
            ("/v1/auth/login", {"email": email, "password": [self.secret()]}),
        ]
        for path, body in bodies:
            headers = {"Authorization": str(me.headers["Authorization"]), "Content-Type": "application/json"}
            self._send("POST", path, json.dumps(body), headers)
            self._send("POST", path, json.dumps(body)[:-2], headers)
        key, token, cookie = self.secret(), self.secret(), self.secret()
        for odd in ODD:
            agent = {"User-Agent": f"agent {odd}", "X-Request-ID": odd[:100], "Cookie": f"sessionid={cookie}"}
            self._send("GET", f"/v1/items/{odd}", None, {"Authorization": f"Bearer ar_{key[:12]}_{key}"} | agent)
            self._send("GET", f"/{odd}?{odd}", None, {"Authorization": f"Basic {token}"} | agent)

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> None:
        with closing(HTTPConnection("127.0.0.1", self.service.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            assert response.status != 500
            self.responses += response.read() + str(response.headers).encode()


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["postgres"], indirect=True)
def test_no_secret_leaks_through_failures(start_stack: object, tmp_path: Path) -> None:
    stack = Stack(tmp_path, is_postgres=True, workers=1)
    stack.redis = RedisServer(password=f"Canary{secrets.token_hex(12)}")
    with stack, closing(stack.service.user(timeout=60)) as me:
        service, postgres = stack.service, stack.postgres
        assert postgres is not None
        noise = Noise(service)
        noise.secrets += [stack.redis.password, postgres.password, service.environment["JWT_SECRET"], PASSWORD]
        noise.secrets += [me.tokens["refresh_token"], me.tokens["access_token"].rpartition(".")[2]]  # type: ignore[attr-defined]
        noise.send(me)
        stack.redis.kill()
        postgres.kill()
        noise.send(me)
        postgres.start()
        stack.redis.start()
        await_true(lambda: me.get("/health/ready").json()["status"] == "ready", "the service does not recover")
        with service.client() as client:
            noise.responses += client.get("/metrics").content
        doctor = service.manage("doctor", check=False)
        service.stop()
        written = service.log + doctor.stdout + doctor.stderr + noise.responses.decode("latin-1")
        assert [secret for secret in noise.secrets if secret in written] == []
        lines = [json.loads(line) for line in service.log.splitlines()]
        assert all({"timestamp", "level", "message"} <= line.keys() for line in lines)
        assert "out of reach" in service.log
