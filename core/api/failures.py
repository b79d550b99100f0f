"""Problems that follow from the traits of an operation, so that authors do not list them."""

from core.api.contract import Failure, Header
from core.api.headers import ACCEPT_PATCH, ALLOW, ETAG, RETRY_AFTER, WWW_AUTHENTICATE
from core.http import problems

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
    in_api: bool = False,
    auth: bool = False,
    scope: bool = False,
    body: bool = False,
    patch: bool = False,
    query: bool = False,
    path: bool = False,
) -> list[Failure]:
    """Return the problems of an operation with these traits."""
    kinds: list[tuple[bool, tuple[type[problems.Problem], ...]]] = [
        (True, (problems.HostNotAllowed, problems.HeadTooLarge, problems.InternalError)),
        (in_api, (problems.NotAcceptable, problems.TooManyRequests, problems.ServiceUnavailable)),
        (auth, (problems.Unauthorized,)),
        (body, (problems.MalformedJSON, problems.RequestTimeout, problems.ContentTooLarge)),
        (body or query, (problems.ValidationFailed,)),
        (path, (problems.NotFound,)),
    ]
    failures = [Failure(problem) for applies, group in kinds if applies for problem in group]
    if body:
        failures.append(Failure(problems.UnsupportedMediaType, headers=(ACCEPT_PATCH,) if patch else ()))
    if scope:
        failures.append(Failure(problems.InsufficientScope, headers=(WWW_AUTHENTICATE,)))
    elif auth:
        failures.append(Failure(problems.Forbidden, "API keys cannot manage accounts."))
    return failures
