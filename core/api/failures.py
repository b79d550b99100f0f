"""Problems that follow from the traits of an operation, so that authors do not list them.

| Operation | Problems |
| --- | --- |
| any | 400 host-not-allowed, 406, 431, 500 |
| under /v1 | 429, 503 |
| with `auth=` | 401, 403 forbidden (API keys), or with a scope 403 insufficient-scope |
| with a body | 400 malformed-json, 408, 413, 415, 422 validation-error |
| with query parameters | 422 validation-error |
| with a path parameter | 404 |
"""

from core.api.contract import Failure, Header
from core.api.headers import ACCEPT_PATCH, ALLOW, ETAG, RETRY_AFTER, WWW_AUTHENTICATE
from core.http.problems import (
    ContentTooLarge,
    Forbidden,
    HeadTooLarge,
    HostNotAllowed,
    InsufficientScope,
    InternalError,
    MalformedJSON,
    NotAcceptable,
    NotFound,
    Problem,
    RequestTimeout,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)

# Headers that every response with this status has.
STATUS_HEADERS: dict[int, tuple[Header, ...]] = {
    401: (WWW_AUTHENTICATE,),
    405: (ALLOW,),
    412: (ETAG,),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}


def automatic_failures(
    *,
    limited: bool = False,
    negotiated: bool = False,
    auth: bool = False,
    scope: bool = False,
    body: bool = False,
    patch: bool = False,
    query: bool = False,
    path: bool = False,
) -> list[Failure]:
    """Return the problems of an operation with these traits: rate limited, with a body, with a path parameter ..."""
    kinds: list[tuple[bool, tuple[type[Problem], ...]]] = [
        (True, (HostNotAllowed, HeadTooLarge, InternalError)),
        (negotiated, (NotAcceptable,)),
        (limited, (TooManyRequests, ServiceUnavailable)),
        (auth, (Unauthorized,)),
        (body, (MalformedJSON, RequestTimeout, ContentTooLarge)),
        (body or query, (ValidationFailed,)),
        (path, (NotFound,)),
    ]
    failures = [Failure(problem) for applies, problems in kinds if applies for problem in problems]
    if body:
        failures.append(Failure(UnsupportedMediaType, headers=(ACCEPT_PATCH,) if patch else ()))
    if scope:
        failures.append(Failure(InsufficientScope, headers=(WWW_AUTHENTICATE,)))
    elif auth:
        failures.append(Failure(Forbidden, "API keys cannot manage accounts."))
    return failures
