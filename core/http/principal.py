"""The principal: the user that a request acts for."""

from typing import NamedTuple
from uuid import UUID


class Principal(NamedTuple):
    """A user, authenticated by an access token or an API key. A user's keys share the user's rate limit."""

    user_id: UUID
    user_key: str
    """The user's id as canonical text."""
    is_staff: bool
    scopes: frozenset[str] | None
    """The scopes of an API key. None for an access token, which may do everything that its user may do."""
    session_id: UUID | None
    api_key_id: UUID | None
