"""Where a request comes from, as far as sessions and audit events note it."""

from ipaddress import ip_address
from typing import NamedTuple

from core.auth.models import USER_AGENT_MAX_LENGTH
from core.http.request import Request


class Caller(NamedTuple):
    """An IP address (None: not known), what the client calls itself, and the id of its request."""

    ip: str | None
    user_agent: str
    request_id: str


NOWHERE = Caller(ip=None, user_agent="", request_id="")


def caller_of(request: Request) -> Caller:
    """The caller of this request.

    The user agent is cut to what is stored, and freed of what databases refuse.
    """
    agent = (request.header(b"user-agent") or "").replace("\0", "")
    return Caller(
        ip=known_ip(request.client_ip),
        user_agent=agent[:USER_AGENT_MAX_LENGTH],
        request_id=request.request_id,
    )


def known_ip(text: str) -> str | None:
    """The address in canonical form; None for what is none, such as the peer of a Unix socket."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
