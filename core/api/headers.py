"""The request and response headers of the service, each described once."""

from core.api.contract import Failure, Header, RequestHeader
from core.http import problems

TEXT = {"type": "string"}
SECONDS = {"type": "integer", "minimum": 0}
# A structured-field string (RFC 9651) or the bare characters.
IDEMPOTENCY_KEY_PATTERN = r'^("[!#-\[\]-~]{1,255}"|[!#-~][!-~]{0,254})$'
# `*` or a list of entity tags (RFC 9110).
ENTITY_TAGS_PATTERN = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'
ENTITY_TAG = {"type": "string", "pattern": '^"[^"]+"$'}

REQUEST_ID = Header(
    "X-Request-ID",
    "The id of the request: the id that the client sent, if it is well-formed, or a new UUIDv7.",
    {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    "0199c0de-7a11-7000-8000-000000000001",
)
ETAG = Header("ETag", "The version of the resource, in quotes.", ENTITY_TAG, '"3"')
LOCATION = Header(
    "Location",
    "The path of the new resource.",
    {"type": "string", "format": "uri-reference"},
    "/v1/items/0199c0de-7a11-7000-8000-0000000000aa",
)
LINK = Header(
    "Link",
    'Absolute URLs of other pages (RFC 8288): `rel="first"`, and `rel="next"` except on the last page.',
    TEXT,
    '<https://api.example/v1/items/?limit=20>; rel="first"',
)
CACHE_CONTROL = Header("Cache-Control", "Which caches may store the response (RFC 9111).", TEXT, "private, no-cache")
VARY = Header("Vary", "The request headers that the response depends on.", TEXT, "Authorization, Origin")
RATE_LIMIT = Header(
    "RateLimit",
    "The remaining quota of each limit: `r` requests now, more in `t` seconds (draft-ietf-httpapi-ratelimit-headers).",
    TEXT,
    '"default";r=97;t=12',
)
RATE_LIMIT_POLICY = Header(
    "RateLimit-Policy",
    "The limits that apply: `q` requests per `w` seconds.",
    TEXT,
    '"default";q=100;w=60',
)
RETRY_AFTER = Header("Retry-After", "Seconds to wait before the next attempt.", SECONDS, 12)
IDEMPOTENT_REPLAYED = Header(
    "Idempotent-Replayed",
    "`true` if this is the stored response to an earlier request with the same `Idempotency-Key`.",
    {"type": "string", "const": "true"},
    "true",
)
WWW_AUTHENTICATE = Header(
    "WWW-Authenticate",
    "How to authenticate (RFC 6750), with an `error` if the request had invalid credentials.",
    TEXT,
    'Bearer error="invalid_token"',
)
ACCEPT_PATCH = Header("Accept-Patch", "The media type of a patch.", TEXT, "application/merge-patch+json")
ALLOW = Header("Allow", "The methods that the path allows.", TEXT, "GET, HEAD, POST, OPTIONS")

# Headers of every response, and of every response under /v1.
EVERYWHERE = (REQUEST_ID, VARY)
LIMITED = (RATE_LIMIT, RATE_LIMIT_POLICY)

# Request headers. They have no `example`, because Swagger UI would send it.

IDEMPOTENCY_KEY = RequestHeader(
    name="Idempotency-Key",
    description="Makes the request safe to retry: 1 to 255 visible ASCII characters, such as a UUID, with or "
    "without quotes. A retry with the same key and body has no second effect and returns the stored response. "
    "Keys expire after 24 hours by default (draft-ietf-httpapi-idempotency-key-header).",
    schema={"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
    failures=(
        Failure(problems.InvalidHeader, "The `Idempotency-Key` is malformed or repeated."),
        Failure(problems.IdempotencyInProgress, headers=(RETRY_AFTER,)),
        Failure(problems.IdempotencyMismatch),
    ),
    success_headers=(IDEMPOTENT_REPLAYED,),
)
IF_MATCH = RequestHeader(
    name="If-Match",
    description='Makes the change only if the current `ETag` matches: one such as `"3"`, a list, or `*` (RFC 9110).',
    schema={"type": "string", "pattern": ENTITY_TAGS_PATTERN},
    failures=(
        Failure(problems.InvalidHeader, "The `If-Match` is malformed."),
        Failure(problems.PreconditionFailed),
        Failure(problems.PreconditionRequired),
    ),
)
IF_NONE_MATCH = RequestHeader(
    name="If-None-Match",
    description='Returns 304 without a body if the current `ETag` matches: one such as `"3"`, a list, or `*`.',
    schema=TEXT,
    not_modified=True,
)
