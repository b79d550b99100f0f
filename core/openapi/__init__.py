"""The OpenAPI document, exact because every route says what it promises, next to its code.

    from core.openapi import ETAG, IDEMPOTENCY_KEY, LOCATION, Success, documented, tag

    router = Router(tags=[tag("Items", "What agents keep here.")])

    @router.post("", auth=Bearer("items:write"), **documented(
        body=ItemIn,
        success=Success(201, ItemOut, headers=[ETAG, LOCATION], example=ITEM),
        takes=[IDEMPOTENCY_KEY],
        example={"name": "First item"},
    ))
    async def create_item(request: Request) -> HttpResponse:
        \"""Create an item

        With an Idempotency-Key the request can be repeated safely.
        \"""

It costs nothing when a request comes in: `documented` leaves a description with the route, and the document
is built from it once, when somebody first asks for /openapi.json.

What comes by itself
    The operation's id (`create_item` is createItem), summary and description (the docstring's first line, its
    rest), `/v1/items/` for a router's path "", `{id}` for a parameter `item_id`, the security of `auth=`,
    headers that are on every answer (X-Request-ID, Vary, RateLimit …) or success (Cache-Control), and
    the problems of `core.openapi.failures`: 400, 406, 429, 500, 503 for every operation, 401 and 403 with `auth=`,
    408, 413, 415 and 422 with a body, 422 with a query, 404 with a parameter in the path.

What the author says
    `success`, `body` and `query` (models; not needed where ninja reads them from the view's parameters),
    `body_types` (`[MERGE_PATCH, JSON]`), examples, `takes` (request headers: each brings its problems, its
    304 and its response headers), and `problems`: those of its own, such as `Conflict`, or `Failure(Conflict,
    "The e-mail is taken.")` to say when. A model refuses unknown fields, and says so in the document, by
    `ConfigDict(extra="forbid")`.

A route without `documented`, and two schemas or operations of one name: then no document is built.
"""

from core.openapi.contract import (
    HTML,
    JSON,
    MERGE_PATCH,
    Contract,
    Described,
    Failure,
    Header,
    RequestHeader,
    Success,
    documented,
)
from core.openapi.headers import (
    CACHE_CONTROL,
    ETAG,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    LINK,
    LOCATION,
    RETRY_AFTER,
    VARY,
)
from core.openapi.tags import tag

__all__ = [
    "CACHE_CONTROL",
    "ETAG",
    "HTML",
    "IDEMPOTENCY_KEY",
    "IF_MATCH",
    "IF_NONE_MATCH",
    "JSON",
    "LINK",
    "LOCATION",
    "MERGE_PATCH",
    "RETRY_AFTER",
    "VARY",
    "Contract",
    "Described",
    "Failure",
    "Header",
    "RequestHeader",
    "Success",
    "documented",
    "tag",
]
