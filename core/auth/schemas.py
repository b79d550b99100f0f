"""What the calls of /v1/auth take and give."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidEmail
from django.core.validators import validate_email
from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from core.api.contract import Described
from core.auth.credentials.scopes import Scope
from core.auth.emails import EMAIL_MAX_LENGTH, canonical_email
from core.auth.models import KEY_NAME_MAX_LENGTH
from core.auth.passwords.rules import PASSWORD_MAX_LENGTH

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# A password that is only compared may have been set where no limit holds; this one merely bounds the work.
GIVEN_PASSWORD_MAX_LENGTH = 1024
REFRESH_TOKEN_MAX_LENGTH = 4096


def _valid_email(text: str) -> str:
    address = canonical_email(text)
    try:
        validate_email(address)
    except InvalidEmail:
        raise PydanticCustomError("email", "must be an e-mail address") from None
    if len(address) > EMAIL_MAX_LENGTH:
        raise PydanticCustomError("email", "must be an e-mail address of at most 254 characters")
    return address


def _rfc3339_text(value: Any) -> Any:
    """pydantic takes numbers and dates without a time for times as well; the contract does not."""
    if value is not None and not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise PydanticCustomError("datetime_rfc3339", "must be a time of RFC 3339, such as 2030-01-31T12:00:00Z")
    return value


def _in_the_future(moment: datetime) -> datetime:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_future", "must be before the year 10000") from None
    if moment <= datetime.now(UTC):
        raise PydanticCustomError("datetime_future", "must be in the future")
    return moment


def _moment_schema(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "description": description}


type NewEmail = Annotated[
    str, StringConstraints(min_length=3, max_length=EMAIL_MAX_LENGTH), AfterValidator(_valid_email),
    Field(description="In any case; answered in lower case.", json_schema_extra={"format": "email"}),
]  # fmt: skip
type GivenEmail = Annotated[str, StringConstraints(max_length=EMAIL_MAX_LENGTH)]
type NewPassword = Annotated[
    str,
    StringConstraints(max_length=PASSWORD_MAX_LENGTH),
    Field(
        description="At least 8 characters; none of the common ones, not like the e-mail, not digits alone.",
        json_schema_extra={"minLength": 8},
    ),
]
type GivenPassword = Annotated[str, StringConstraints(max_length=GIVEN_PASSWORD_MAX_LENGTH)]
type FutureMoment = Annotated[AwareDatetime, BeforeValidator(_rfc3339_text), AfterValidator(_in_the_future)]
type Moment = Annotated[str, Field(json_schema_extra=_moment_schema("RFC 3339, UTC, microseconds."))]


class _In(Schema):
    # ninja builds a model around each, which is the one that validates.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)


class RegisterIn(_In):
    """A new account."""

    email: NewEmail
    password: NewPassword


class LoginIn(_In):
    """Who logs in."""

    email: GivenEmail
    password: GivenPassword


class RefreshIn(_In):
    """The refresh token of the last answer; it is good for one use."""

    refresh_token: Annotated[str, StringConstraints(max_length=REFRESH_TOKEN_MAX_LENGTH)]


class PasswordIn(_In):
    """A new password, and the current one as proof."""

    current_password: GivenPassword
    new_password: NewPassword


class AccountIn(_In):
    """A new e-mail address, and the password as proof."""

    email: NewEmail
    current_password: GivenPassword


class APIKeyIn(_In):
    """A new API key. A scope to write does not imply the one to read."""

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=KEY_NAME_MAX_LENGTH),
        Field(json_schema_extra={"pattern": r"\S"}),
    ]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)]
    expires_at: FutureMoment | None = Field(None, description="When the key ends; never, if left out.")


class UserOut(Described):
    """An account."""

    id: UUID
    email: str
    created_at: Moment


class TokensOut(Described):
    """An access token for requests, and a refresh token for the next pair. Lifetimes in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_expires_in: int


class SessionOut(Described):
    """A place where the user is logged in."""

    id: UUID
    created_at: Moment
    last_used_at: Moment = Field(description="When it was last refreshed, or begun.")
    ip: str | None
    user_agent: str
    current: bool = Field(description="Whether it is the one that asks.")


class SessionsOut(Described):
    """The user's live sessions, the last used first."""

    sessions: list[SessionOut]


class APIKeyOut(Described):
    """An API key, without its secret."""

    id: UUID
    name: str
    scopes: list[str]
    prefix: str = Field(description="The part of the key by which it can be told.")
    expires_at: Moment | None
    created_at: Moment
    last_used_at: Moment | None = Field(description="To the minute.")


class NewAPIKeyOut(APIKeyOut):
    """A new API key with its text, which is shown this once."""

    key: str


class APIKeysOut(Described):
    """The user's API keys, the newest first."""

    api_keys: list[APIKeyOut]
