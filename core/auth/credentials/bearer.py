"""The `auth=` of a route: which credentials an operation accepts."""

from typing import Any

from ninja.security.http import HttpAuthBase

from core.auth.credentials.identify import missing_credentials
from core.auth.credentials.scopes import declare_scope
from core.http.principal import Principal
from core.http.problems import Forbidden, InsufficientScope
from core.http.request import Request


def principal_of(request: Request) -> Principal:
    """Return the principal that the middleware found. Raises Unauthorized, or the problem that the middleware met."""
    if request.principal is not None:
        return request.principal
    raise request.credentials_problem or missing_credentials()


class Bearer(HttpAuthBase):
    """`Bearer()` accepts access tokens only. `Bearer("items:read")` accepts API keys with this scope, too."""

    openapi_scheme = "bearer"

    def __init__(self, scope: str | None = None) -> None:
        super().__init__()
        self.scope = scope
        if scope is not None:
            declare_scope(scope)

    async def __call__(self, request: Any) -> Principal:
        principal = principal_of(request)
        if principal.scopes is None or self.scope in principal.scopes:
            return principal
        if self.scope is None:
            raise Forbidden("API keys cannot manage accounts: use an access token")
        # RFC 6750, section 3.1
        challenge = f'Bearer error="insufficient_scope", scope="{self.scope}"'
        raise InsufficientScope(f"The API key needs the scope {self.scope}", headers={"WWW-Authenticate": challenge})
