"""The API on django-ninja, and what each route promises in the OpenAPI document.

    from core.api.contract import Success, documented
    from core.api.headers import ETAG, IDEMPOTENCY_KEY, LOCATION
    from core.api.tags import tag

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

`documented` costs nothing per request: it leaves a description with the route. The first request for /openapi.json
builds the document from these descriptions.

The builder adds on its own
    The operation's id (`create_item` becomes createItem), summary and description (the docstring's first line and
    its rest), `/v1/items/` for a router's path "", `{id}` for a parameter `item_id`, the security of `auth=`,
    headers that every response (X-Request-ID, Vary, RateLimit …) or every success (Cache-Control) carries, and
    the problems of `core.api.failures`: 400, 406, 429, 500, 503 for every operation, 401 and 403 with `auth=`,
    408, 413, 415 and 422 with a body, 422 with a query, 404 with a parameter in the path.

The author states
    `success`, `body` and `query` (models; ninja finds those in the view's parameters), `body_types`
    (`[MERGE_PATCH, JSON]`), examples, `takes` (request headers: each brings its problems, its 304 and its
    response headers), and `problems` of the operation itself, such as `Conflict`, or `Failure(Conflict,
    "The e-mail is taken.")` to say when. A model that refuses unknown fields declares
    `ConfigDict(extra="forbid")`, and the document says so.

The builder raises an error for a route without `documented`, and for two schemas or operations of one name.
"""
