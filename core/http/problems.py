"""Problems (RFC 9457): every 4xx and 5xx response of the service is one of these.

    400  MalformedRequest, MalformedJSON, InvalidHeader, HostNotAllowed
    401  Unauthorized                       415  UnsupportedMediaType
    403  Forbidden, InsufficientScope       422  ValidationFailed, IdempotencyMismatch
    404  NotFound                           428  PreconditionRequired
    405  MethodNotAllowed                   429  TooManyRequests, AccountLocked
    406  NotAcceptable                      431  HeadTooLarge
    408  RequestTimeout                     500  InternalError
    409  Conflict, IdempotencyInProgress    503  ServiceUnavailable
    412  PreconditionFailed
    413  ContentTooLarge

Views and services raise a problem: `raise NotFound`. Middleware returns `problem_response(request, NotFound())`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NotRequired, TypedDict

CONTENT_TYPE = "application/problem+json"
MAX_ERRORS = 100
# Clients choose the field names of a body. Without this limit, 100 pointers could take 100 times the body's size.
MAX_POINTER_CHARS = 500


class FieldError(TypedDict):
    """One error in a request, located by a JSON pointer into the body or by the name of a query parameter."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    detail: str
    code: str


def json_pointer(steps: Iterable[str | int]) -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, section 6). A long pointer stops at an enclosing value."""
    pointer = "#"
    for step in steps:
        text = str(step)
        if len(pointer) + len(text) >= MAX_POINTER_CHARS:
            break
        pointer += "/" + text.replace("~", "~0").replace("/", "~1")
    return pointer


class Problem(Exception):
    """An error that the service reports to the client. /problems/{slug} shows `explanation`."""

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
        errors = {"errors": self.errors} if self.errors else {}
        return {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.extensions,
            **errors,
        }


class MalformedRequest(Problem):
    slug, title, status = "malformed-request", "The request is malformed", 400
    explanation = "The request breaks a rule of HTTP. Correct the client: the detail names the mistake."


class MalformedJSON(Problem):
    slug, title, status = "malformed-json", "The body is not JSON", 400
    explanation = "The body is not one well-formed JSON text in UTF-8 (RFC 8259). Build it with a JSON encoder."


class InvalidHeader(Problem):
    slug, title, status = "invalid-header", "A header is malformed", 400
    explanation = "A request header does not follow its grammar. The detail names the header and its rule."


class HostNotAllowed(Problem):
    slug, title, status = "host-not-allowed", "This host is not served here", 400
    explanation = "Send the Host header once, with a host in ALLOWED_HOSTS, or add the host to that setting."


class Unauthorized(Problem):
    slug, title, status = "unauthorized", "Credentials are missing or not valid", 401
    explanation = (
        "Send Authorization: Bearer with an access token (POST /v1/auth/login) or an API key. "
        "POST /v1/auth/refresh replaces an expired access token."
    )


class Forbidden(Problem):
    slug, title, status = "forbidden", "This is not allowed", 403
    explanation = "The credentials are valid but do not permit this request. The detail names the reason."


class InsufficientScope(Problem):
    slug, title, status = "insufficient-scope", "The API key's scopes do not allow this", 403
    explanation = "Create an API key with the scope that the detail names, or use an access token."


class NotFound(Problem):
    slug, title, status = "not-found", "There is nothing here", 404
    explanation = "The path or the resource does not exist, or the credentials do not permit reading it."


class MethodNotAllowed(Problem):
    slug, title, status = "method-not-allowed", "This method is not allowed here", 405
    explanation = "The path exists but does not support this method. The Allow header lists the supported methods."


class NotAcceptable(Problem):
    slug, title, status = "not-acceptable", "The Accept header excludes JSON", 406
    explanation = "The service responds with application/json. Omit the Accept header, or allow that type."


class RequestTimeout(Problem):
    slug, title, status = "request-timeout", "The body did not arrive in time", 408
    explanation = "The request body arrived too slowly. Send the request again on a faster connection."


class Conflict(Problem):
    slug, title, status = "conflict", "The request conflicts with the current state", 409
    explanation = "The resource's current state does not permit the request. Read it, then decide whether to retry."


class IdempotencyInProgress(Problem):
    slug, title, status = "idempotency-in-progress", "The first request with this key is still running", 409
    explanation = "Repeat the request after the time in Retry-After. The service then replays the first response."


class PreconditionFailed(Problem):
    slug, title, status = "precondition-failed", "The resource has changed", 412
    explanation = "The current version (ETag) fails the precondition. Read it, merge the changes and retry."


class ContentTooLarge(Problem):
    slug, title, status = "content-too-large", "The body is too large", 413
    explanation = "The body is larger than MAX_BODY_BYTES. Send a smaller body."


class UnsupportedMediaType(Problem):
    slug, title, status = "unsupported-media-type", "The body's media type is not supported", 415
    explanation = (
        "Send JSON with Content-Type: application/json and without Content-Encoding. PATCH also accepts "
        "application/merge-patch+json."
    )


class ValidationFailed(Problem):
    slug, title, status = "validation-error", "The request is not valid", 422
    explanation = (
        "Fields or parameters are not valid. Each entry of errors locates one: pointer leads into the body "
        "(RFC 6901), parameter names a query parameter. Correct them and send the request again."
    )


class IdempotencyMismatch(Problem):
    slug, title, status = "idempotency-mismatch", "This Idempotency-Key was used for another request", 422
    explanation = "An Idempotency-Key belongs to one request with one body. Use a new key for a new request."


class PreconditionRequired(Problem):
    slug, title, status = "precondition-required", "If-Match is required", 428
    explanation = "Send If-Match with the ETag of the version that you read, so that no other change is overwritten."


class TooManyRequests(Problem):
    slug, title, status = "too-many-requests", "The rate limit is used up", 429
    explanation = "Wait for the time in Retry-After. RateLimit-Policy and RateLimit show limits and remainder."


class AccountLocked(Problem):
    slug, title, status = "account-locked", "Too many failed log-ins", 429
    explanation = "Nobody can log in to this account for the time in Retry-After. Existing sessions continue."


class HeadTooLarge(Problem):
    slug, title, status = "head-too-large", "The request's head is too large", 431
    explanation = "The URL and headers exceed 64 KiB, or there are too many headers. Send fewer or shorter ones."


class InternalError(Problem):
    slug, title, status = "internal-error", "Something went wrong in the service", 500
    explanation = "The service failed, not the request. The service's log has the cause under the request_id."


class ServiceUnavailable(Problem):
    slug, title, status = "service-unavailable", "The service cannot answer right now", 503
    explanation = (
        "The database is unreachable or busy, too many requests are in flight, or the service is stopping. "
        "Retry after the time in Retry-After."
    )

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1, **extensions: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **extensions)


PROBLEMS = {problem.slug: problem for problem in Problem.__subclasses__()}


def explain(problem: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "explanation": problem.explanation,
    }


def explain_all() -> list[dict[str, Any]]:
    return [explain(problem) for problem in sorted(PROBLEMS.values(), key=lambda one: (one.status, one.slug))]
