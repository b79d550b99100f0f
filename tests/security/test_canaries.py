"""Secrets sent in every place that clients use appear nowhere in the service's output."""

import secrets
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.otlp_receiver import http_receiver
from tests.running_service import RunningService

PREFIX = "CaNaRy9"


def canary() -> str:
    """Return a strong password that occurs nowhere else."""
    return PREFIX + secrets.token_urlsafe(40).replace("-", "a").replace("_", "b")


def send_everywhere(client: httpx.Client, secret: str) -> list[httpx.Response]:
    """Send the secret in each place, and return the responses."""
    as_headers = {
        "Authorization": f"Bearer {secret}", "Cookie": f"sessionid={secret}", "Proxy-Authorization": f"Basic {secret}",
        "X-API-Key": secret, "Idempotency-Key": secret, "If-Match": secret, "User-Agent": f"client token={secret}",
        "Referer": f"http://localhost/?token={secret}", "X-Forwarded-For": secret, "traceparent": secret,
        "Origin": f"http://{secret}.example", "Accept": secret, "Content-Type": secret,
    }  # fmt: skip
    responses = [client.request("POST", "/v1/items/", headers={name: value}) for name, value in as_headers.items()]
    bodies: list[Any] = [
        {"email": f"{secret}@example.org", "password": secret},
        {"email": secret, "password": secret, secret: secret},
        {"refresh_token": secret},
        {"current_password": secret, "new_password": secret},
        [secret],
    ]
    calls = ("register", "login", "refresh", "password", "me", "api-keys")
    responses += [client.post(f"/v1/auth/{call}", json=body) for call in calls for body in bodies]
    half = {"content": f'{{"password": "{secret}', "headers": {"Content-Type": "application/json"}}
    responses.append(client.post("/v1/auth/login", **half))  # type: ignore[arg-type]
    responses.append(client.post("/admin/login/", data={"username": "a@example.org", "password": secret}))
    query = {"password": secret, "access_token": secret, "cursor": secret}
    paths = ("/v1/items/", "/admin/", "/metrics", "/health/ready", "/nothing", "/static/x")
    responses += [client.get(path, params=query) for path in paths]
    templates = ("/v1/items/{}", "/reset/token={}", "/v1/auth/sessions/{}", "/problems/{}", "/{}")
    responses += [client.get(template.format(secret)) for template in templates]
    return responses


@pytest.mark.slow
def test_secrets_are_written_nowhere(start: Callable[..., RunningService]) -> None:
    metrics_token, sent, password = canary(), canary(), canary()
    with http_receiver() as collector:
        service = start(
            METRICS_TOKEN=metrics_token, JWT_SECRET=canary() + canary(), LOG_LEVEL="DEBUG",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        )  # fmt: skip
        secret_values = [metrics_token, sent, password, service.environment["JWT_SECRET"]]
        with service.client() as client:
            email = f"{secrets.token_hex(8)}@example.org"
            client.post("/v1/auth/register", json={"email": email, "password": password})
            responses = send_everywhere(client, sent)
            metrics = client.get("/metrics", headers={"Authorization": f"Bearer {metrics_token}"}).text
        with closing(service.log_in(email, password)) as me:
            tokens = me.tokens  # type: ignore[attr-defined]
            key = me.post("/v1/auth/api-keys", json={"name": "k", "scopes": ["items:read"]}).json()["key"]
            me.get("/v1/items/", headers={"Authorization": f"Bearer {key}"})
            me.get("/v1/items/", params={"token": key})
            me.get(f"/v1/items/{tokens['access_token']}")
            me.get(f"/v1/items/{key}")
            me.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
            me.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        secret_values += [
            key,
            tokens["access_token"],
            tokens["access_token"].rsplit(".", 1)[1],
            tokens["refresh_token"],
        ]
        service.stop()
        written = {
            "log": service.log, "spans": collector.raw.decode("utf-8", "replace"), "metrics": metrics,
            "database": service.stored().decode("utf-8", "replace"),
        }  # fmt: skip
    assert all(written.values())
    for place, text in written.items():
        assert [secret for secret in secret_values if secret in text] == [], place
    # A problem repeats the path and the names of fields and parameters, but no value.
    texts = [response.text.replace(f"#/{sent}", "").replace(response.url.path, "") for response in responses]
    assert [text for text in texts if sent in text] == []
