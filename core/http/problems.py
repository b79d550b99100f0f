"""Problems (RFC 9457): every 4xx and 5xx of the service is one of these.

A view or service raises one; a middleware returns `problem_response(request, problem)`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NotRequired, TypedDict

CONTENT_TYPE = "application/problem+json"
MAX_ERRORS = 100
# A client names the fields of a body itself: without an end, a hundred pointers would be a hundred times the body.
MAX_POINTER_CHARS = 500


class FieldError(TypedDict):
    """One fault of a request: where it is (RFC 6901 pointer into the body, or a query parameter) and what it is."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    detail: str
    code: str


def json_pointer(steps: Iterable[str | int]) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6; its escapes, without percent-encoding).

    Where it would be longer than MAX_POINTER_CHARS it leads to the innermost value around the place that has a
    shorter one.
    """
    pointer = "#"
    for step in steps:
        text = str(step)
        if len(pointer) + len(text) >= MAX_POINTER_CHARS:
            break
        pointer += "/" + text.replace("~", "~0").replace("/", "~1")
    return pointer


class Problem(Exception):
    """An error that a client is told. `explanation` is what /problems/{slug} says of it, and what to do about it."""

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    explanation: ClassVar[str]

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Iterable[FieldError] = (),
        **extensions: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.errors = list(errors)[:MAX_ERRORS]
        self.extensions = extensions

    def members(self, instance: str, request_id: str) -> dict[str, Any]:
        """The problem's JSON object."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.extensions,
        }
        if self.errors:
            body["errors"] = self.errors
        return body


class MalformedRequest(Problem):
    slug, title, status = "malformed-request", "The request is malformed", 400
    explanation = "The request breaks a rule of HTTP itself. Mend the client; the detail says what it got wrong."


class MalformedJSON(Problem):
    slug, title, status = "malformed-json", "The body is not JSON", 400
    explanation = "The body is not one well-formed JSON text in UTF-8 (RFC 8259). Send it through a JSON encoder."


class InvalidHeader(Problem):
    slug, title, status = "invalid-header", "A header is malformed", 400
    explanation = "A header of the request does not follow its grammar. The detail names the header and its rule."


class HostNotAllowed(Problem):
    slug, title, status = "host-not-allowed", "This host is not served here", 400
    explanation = "The Host header names a host that is not in ALLOWED_HOSTS. Use the service's own name, or add it."


class Unauthorized(Problem):
    slug, title, status = "unauthorized", "Credentials are missing or not valid", 401
    explanation = (
        "Send Authorization: Bearer with an access token (POST /v1/auth/login) or an API key. "
        "An access token that has expired is renewed by POST /v1/auth/refresh."
    )


class Forbidden(Problem):
    slug, title, status = "forbidden", "This is not allowed", 403
    explanation = "You are known, but may not do this. The detail says why; other credentials may be needed."


class InsufficientScope(Problem):
    slug, title, status = "insufficient-scope", "The API key's scopes do not allow this", 403
    explanation = "Make an API key with the scope that the detail names, or use an access token."


class NotFound(Problem):
    slug, title, status = "not-found", "There is nothing here", 404
    explanation = "The path or the resource does not exist, or is not yours to see."


class MethodNotAllowed(Problem):
    slug, title, status = "method-not-allowed", "This method is not allowed here", 405
    explanation = "The path exists, the method does not. The Allow header lists those that do."


class NotAcceptable(Problem):
    slug, title, status = "not-acceptable", "The Accept header excludes JSON", 406
    explanation = "The service answers in application/json. Leave out Accept, or allow that type."


class RequestTimeout(Problem):
    slug, title, status = "request-timeout", "The body did not come in time", 408
    explanation = "The body of the request came too slowly. Send it again, all at once."


class Conflict(Problem):
    slug, title, status = "conflict", "The request conflicts with what is there", 409
    explanation = (
        "What is there already does not go with the request. Look at it, then try again if it still makes sense."
    )


class IdempotencyInProgress(Problem):
    slug, title, status = "idempotency-in-progress", "The first request with this key is still running", 409
    explanation = "Repeat the request after the time in Retry-After; the answer of the first one is then replayed."


class PreconditionFailed(Problem):
    slug, title, status = "precondition-failed", "The resource has changed", 412
    explanation = "If-Match names another version than the current one, which ETag tells. Read again, merge, try again."


class ContentTooLarge(Problem):
    slug, title, status = "content-too-large", "The body is too large", 413
    explanation = "The body is larger than MAX_BODY_BYTES allows. Send less."


class UnsupportedMediaType(Problem):
    slug, title, status = "unsupported-media-type", "The body's media type is not supported", 415
    explanation = (
        "Send JSON with Content-Type: application/json (PATCH: application/merge-patch+json as well), unencoded."
    )


class ValidationFailed(Problem):
    slug, title, status = "validation-error", "The request is not valid", 422
    explanation = (
        "Fields or parameters break their rules. Each entry of errors names one: pointer leads into the body "
        "(RFC 6901), parameter names a query parameter. Mend them and send the request again."
    )


class IdempotencyMismatch(Problem):
    slug, title, status = "idempotency-mismatch", "This Idempotency-Key was used for another request", 422
    explanation = "A key stands for one request with one body. Use a new key for a new request."


class PreconditionRequired(Problem):
    slug, title, status = "precondition-required", "If-Match is required", 428
    explanation = "Changes need If-Match with the ETag of the version that you have seen, so that none is lost."


class TooManyRequests(Problem):
    slug, title, status = "too-many-requests", "The rate limit is used up", 429
    explanation = "Wait for the time in Retry-After. RateLimit-Policy and RateLimit tell the limits and what is left."


class AccountLocked(Problem):
    slug, title, status = "account-locked", "Too many failed log-ins", 429
    explanation = "Log-in to this account is closed for the time in Retry-After. Sessions that exist go on."


class HeadTooLarge(Problem):
    slug, title, status = "head-too-large", "The request's head is too large", 431
    explanation = "The URL and headers of the request take more than 64 KiB, or there are too many headers. Send less."


class InternalError(Problem):
    slug, title, status = "internal-error", "Something went wrong in the service", 500
    explanation = "A fault of the service, not of the request. Its log has the cause under the problem's request_id."


class ServiceUnavailable(Problem):
    slug, title, status = "service-unavailable", "The service cannot answer right now", 503
    explanation = (
        "The database is out of reach or busy, more requests have come than can be answered in time, or the service "
        "is stopping. Try again after Retry-After."
    )

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1, **extensions: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **extensions)


def _all_problems(base: type[Problem] = Problem) -> dict[str, type[Problem]]:
    """Every kind of problem by its slug."""
    found = {}
    for kind in base.__subclasses__():
        found[kind.slug] = kind
        found |= _all_problems(kind)
    return found


PROBLEMS = _all_problems()


def explain(problem: type[Problem]) -> dict[str, Any]:
    """What is told of a problem type."""
    return {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "explanation": problem.explanation,
    }


def explain_all() -> list[dict[str, Any]]:
    """All problem types, in the order of their statuses."""
    return [explain(problem) for problem in sorted(PROBLEMS.values(), key=lambda one: (one.status, one.slug))]
