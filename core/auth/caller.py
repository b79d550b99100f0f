"""The caller of a request, as sessions and audit events store it."""

from ipaddress import ip_address
from typing import NamedTuple

from django.http import HttpRequest

from core.auth.models import USER_AGENT_MAX_LENGTH
from core.http.request import Request


class Caller(NamedTuple):
    """The IP address (None if unknown), the user agent and the request's id."""

    ip: str | None
    user_agent: str
    request_id: str


UNKNOWN_CALLER = Caller(ip=None, user_agent="", request_id="")


def caller_of(request: HttpRequest | None) -> Caller:
    """Return the caller of a request to the service, or UNKNOWN_CALLER for a request made by a command or a test."""
    if not isinstance(request, Request):
        return UNKNOWN_CALLER
    # PostgreSQL refuses NUL characters in text.
    agent = (request.header(b"user-agent") or "").replace("\0", "")
    return Caller(
        ip=canonical_ip(request.client_ip),
        user_agent=agent[:USER_AGENT_MAX_LENGTH],
        request_id=request.request_id,
    )


def canonical_ip(text: str) -> str | None:
    """Return the IP address in canonical form, or None for other text, such as the peer name of a Unix socket."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
