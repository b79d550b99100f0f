"""The headers of the service, each described once, by the names with which routes refer to them."""

from core.api.contract import Failure, Header, RequestHeader
from core.http.problems import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidHeader,
    PreconditionFailed,
    PreconditionRequired,
)

TEXT = {"type": "string"}
SECONDS = {"type": "integer", "minimum": 0}
# A string of RFC 9651 or the bare characters; `*` or a list of entity tags (RFC 9110).
IDEMPOTENCY_KEY_PATTERN = r'^("[!#-\[\]-~]{1,255}"|[!#-~][!-~]{0,254})$'
ENTITY_TAGS_PATTERN = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'
ENTITY_TAG = {"type": "string", "pattern": '^"[^"]+"$'}

# Of responses

REQUEST_ID = Header(
    "X-Request-ID",
    "The id of the request: the client's own if it sent a well-formed one, else a new UUIDv7.",
    {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    "0199c0de-7a11-7000-8000-000000000001",
)
ETAG = Header("ETag", "The version of the representation, in quotes.", ENTITY_TAG, '"3"')
LOCATION = Header(
    "Location",
    "Where the new resource is.",
    {"type": "string", "format": "uri-reference"},
    "/v1/items/0199c0de-7a11-7000-8000-0000000000aa",
)
LINK = Header(
    "Link",
    'Absolute URLs of other pages (RFC 8288): `rel="first"`, and `rel="next"` unless this is the last page.',
    TEXT,
    '<https://api.example/v1/items/?limit=20>; rel="first"',
)
CACHE_CONTROL = Header("Cache-Control", "Who may keep the answer (RFC 9111).", TEXT, "private, no-cache")
VARY = Header("Vary", "The request headers on which the answer depends.", TEXT, "Authorization, Origin")
RATE_LIMIT = Header(
    "RateLimit",
    "What is left of each limit: `r` requests now, more in `t` s (draft-ietf-httpapi-ratelimit-headers).",
    TEXT,
    '"default";r=97;t=12',
)
RATE_LIMIT_POLICY = Header(
    "RateLimit-Policy",
    "The limits that apply: `q` requests in `w` seconds.",
    TEXT,
    '"default";q=100;w=60',
)
RETRY_AFTER = Header("Retry-After", "Seconds after which another try makes sense.", SECONDS, 12)
IDEMPOTENT_REPLAYED = Header(
    "Idempotent-Replayed",
    "`true` when this is the stored answer to an earlier request with the same `Idempotency-Key`.",
    {"type": "string", "const": "true"},
    "true",
)
WWW_AUTHENTICATE = Header(
    "WWW-Authenticate",
    "How to authenticate (RFC 6750); with an `error` if credentials were sent and are no good.",
    TEXT,
    'Bearer error="invalid_token"',
)
ACCEPT_PATCH = Header("Accept-Patch", "The type of a patch.", TEXT, "application/merge-patch+json")
ALLOW = Header("Allow", "The methods that the path knows.", TEXT, "GET, HEAD, POST, OPTIONS")

# What comes by itself: on every answer, under /v1 on every answer, and there on every success.
EVERYWHERE = (REQUEST_ID, VARY)
LIMITED = (RATE_LIMIT, RATE_LIMIT_POLICY)
SUCCESSFUL = (CACHE_CONTROL,)

# Of requests. They have no `example`: Swagger UI would fill it in and send it.

IDEMPOTENCY_KEY = RequestHeader(
    name="Idempotency-Key",
    description="Makes it safe to send the request again: 1 to 255 visible ASCII characters, such as a UUID, "
    "in quotes or bare. A repeat with the same key and body gets the stored answer and has no second effect, "
    "for 24 hours unless the operator chose otherwise (draft-ietf-httpapi-idempotency-key-header).",
    schema={"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
    failures=(
        Failure(InvalidHeader, "The `Idempotency-Key` is malformed or was sent twice."),
        Failure(IdempotencyInProgress, headers=(RETRY_AFTER,)),
        Failure(IdempotencyMismatch),
    ),
    success_headers=(IDEMPOTENT_REPLAYED,),
)
IF_MATCH = RequestHeader(
    name="If-Match",
    description='The change is made only if the `ETag` is one of these: `"3"`, a list, or `*` (RFC 9110).',
    schema={"type": "string", "pattern": ENTITY_TAGS_PATTERN},
    failures=(
        Failure(InvalidHeader, "The `If-Match` is malformed."),
        Failure(PreconditionFailed),
        Failure(PreconditionRequired),
    ),
)
IF_NONE_MATCH = RequestHeader(
    name="If-None-Match",
    description='The answer is 304 without a body if the `ETag` is one of these: `"3"`, a list, or `*`.',
    schema=TEXT,
    not_modified=True,
)
