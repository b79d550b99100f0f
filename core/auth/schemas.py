"""Request and response bodies of /v1/auth."""

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
# Longer than PASSWORD_MAX_LENGTH, because `createsuperuser` may accept longer passwords. It only bounds the work.
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
    # pydantic also accepts numbers, and dates without a time.
    if value is not None and not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise PydanticCustomError("datetime_rfc3339", "must be an RFC 3339 time, such as 2030-01-31T12:00:00Z")
    return value


def _in_the_future(moment: datetime) -> datetime:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_future", "must be before the year 10000") from None
    if moment <= datetime.now(UTC):
        raise PydanticCustomError("datetime_future", "must be in the future")
    return moment


type NewEmail = Annotated[
    str,
    StringConstraints(min_length=3, max_length=EMAIL_MAX_LENGTH),
    AfterValidator(_valid_email),
    Field(description="Case does not matter. Responses have it in lower case.", json_schema_extra={"format": "email"}),
]
type GivenEmail = Annotated[str, StringConstraints(max_length=EMAIL_MAX_LENGTH)]
type NewPassword = Annotated[
    str,
    StringConstraints(max_length=PASSWORD_MAX_LENGTH),
    Field(
        description="At least 8 characters. Not a common password, not similar to the e-mail, not only digits.",
        json_schema_extra={"minLength": 8},
    ),
]
type GivenPassword = Annotated[str, StringConstraints(max_length=GIVEN_PASSWORD_MAX_LENGTH)]
type FutureMoment = Annotated[AwareDatetime, BeforeValidator(_rfc3339_text), AfterValidator(_in_the_future)]


class _Body(Schema):
    # ninja builds a model around each schema, and only that model validates.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)


class RegisterIn(_Body):
    """A new account."""

    email: NewEmail
    password: NewPassword


class LoginIn(_Body):
    """The credentials of a login."""

    email: GivenEmail
    password: GivenPassword


class RefreshIn(_Body):
    """The latest refresh token. It can be used once."""

    refresh_token: Annotated[str, StringConstraints(max_length=REFRESH_TOKEN_MAX_LENGTH)]


class PasswordIn(_Body):
    """A new password, and the current password as proof."""

    current_password: GivenPassword
    new_password: NewPassword


class AccountIn(_Body):
    """A new e-mail address, and the current password as proof."""

    email: NewEmail
    current_password: GivenPassword


class APIKeyIn(_Body):
    """A new API key. A write scope does not include the read scope."""

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=KEY_NAME_MAX_LENGTH),
        Field(json_schema_extra={"pattern": r"\S"}),
    ]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)]
    expires_at: FutureMoment | None = Field(
        None, description="When the key expires. Without it, the key does not expire."
    )


class UserOut(Described):
    """An account."""

    id: UUID
    email: str
    created_at: datetime


class TokensOut(Described):
    """An access token for requests, and a refresh token for the next pair. Lifetimes in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_expires_in: int


class SessionOut(Described):
    """A login session."""

    id: UUID
    created_at: datetime
    last_used_at: datetime = Field(description="When the session began or was last refreshed.")
    ip: str | None
    user_agent: str
    current: bool = Field(description="Whether this request uses the session.")


class SessionsOut(Described):
    """The user's live sessions, the most recently used first."""

    sessions: list[SessionOut]


class APIKeyOut(Described):
    """An API key, without its secret."""

    id: UUID
    name: str
    scopes: list[str]
    prefix: str = Field(description="The public part of the key, to recognize it.")
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None = Field(description="Accurate to a minute.")


class NewAPIKeyOut(APIKeyOut):
    """A new API key with its text, which no other response contains."""

    key: str


class APIKeysOut(Described):
    """The user's API keys, newest first."""

    api_keys: list[APIKeyOut]
