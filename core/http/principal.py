"""Who a request acts for."""

from typing import NamedTuple
from uuid import UUID


class Principal(NamedTuple):
    """A user, through an access token or an API key.

    A user and their keys share one budget and one scope of keys.
    """

    user_id: UUID
    user_key: str
    """The user's id as canonical text."""
    is_staff: bool
    scopes: frozenset[str] | None
    """What an API key may do; None for an access token, which may do everything that its user may."""
    session_id: UUID | None
    api_key_id: UUID | None
