"""Authentication for schemathesis. It often takes a new user, because the tests delete accounts and end sessions."""

import os
import secrets
from typing import Any

import httpx
import schemathesis

PASSWORD = "Sturdy-horse-battery-9"


@schemathesis.auth(refresh_interval=3)
class NewUser:
    """An access token of a new account."""

    def get(self, case: Any, context: Any) -> str:
        account = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
        with httpx.Client(base_url=os.environ["BASE_URL"], trust_env=False, timeout=60) as client:
            client.post("/v1/auth/register", json=account).raise_for_status()
            tokens = client.post("/v1/auth/login", json=account).raise_for_status().json()
        return str(tokens["access_token"])

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}
