"""The API on django-ninja, and the contract of each route for the OpenAPI document.

    router = Router(tags=[tag("Items", "The data that agents keep.")])

    @router.post("", auth=Bearer("items:write"), **documented(
        success=Success(201, ItemOut, headers=[ETAG, LOCATION], example=ITEM),
        takes=[IDEMPOTENCY_KEY],
        problems=[Failure(Conflict, "The name is taken.")],
        example={"name": "First item"},
    ))
    async def create_item(request: Request, new: ItemIn) -> HttpResponse:
        \"""Create an item

        The docstring's first line is the operation's summary, the rest its description.
        \"""

The document derives the operation's id, parameters, security and common headers, and the problems that follow from
`auth=`, a body, a query and a path parameter (`core.api.failures`). It fails for a route without `documented`, and
for two operations, schemas or headers with the same name.
"""
