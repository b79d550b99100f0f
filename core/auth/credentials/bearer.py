"""Who may call an operation: ninja's `auth=`, for operations of accounts and of resources."""

from inspect import markcoroutinefunction
from typing import Any

from ninja.security.http import HttpAuthBase

from core.auth.credentials.identify import missing
from core.auth.credentials.scopes import declare_scope
from core.http.principal import Principal
from core.http.problems import Forbidden, InsufficientScope
from core.http.request import Request


def principal_of(request: Request) -> Principal:
    """Who the request acts for. Raises Unauthorized, or why its credentials could not be checked."""
    if request.principal is not None:
        return request.principal
    if request.credentials_problem is not None:
        raise request.credentials_problem
    raise missing()


class Bearer(HttpAuthBase):
    """`Bearer()`: an access token, no API key.

    `Bearer("items:read")`: an access token, or a key with the scope.

    The authentication middleware has found out who it is; here it is asked for.
    """

    openapi_scheme = "bearer"

    def __init__(self, scope: str | None = None) -> None:
        super().__init__()
        self.scope = scope
        if scope is not None:
            declare_scope(scope)
        # ninja asks at each request whether it is to be awaited: 3 µs less to find out.
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Principal:
        """The principal. Raises Forbidden, InsufficientScope, and what `principal_of` does."""
        principal = principal_of(request)
        if principal.scopes is not None and self.scope not in principal.scopes:
            raise self._refusal()
        return principal

    def _refusal(self) -> Forbidden | InsufficientScope:
        if self.scope is None:
            return Forbidden("API keys cannot manage accounts: use an access token")
        # RFC 6750, section 3.1
        challenge = f'Bearer error="insufficient_scope", scope="{self.scope}"'
        return InsufficientScope(f"The API key needs the scope {self.scope}", headers={"WWW-Authenticate": challenge})
