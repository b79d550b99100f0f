"""The routes of /v1/items: parse, authorize, call the service, return."""

from django.http import HttpResponse
from ninja import Router

from core.api.contract import JSON, MERGE_PATCH, Success, documented, tag
from core.api.headers import CACHE_CONTROL, ETAG, IDEMPOTENCY_KEY, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, VARY
from core.auth.credentials.bearer import Bearer, principal_of
from core.http.conditional import entity_tag, not_modified, precondition
from core.http.json_body import parse_body
from core.http.prefetch import prefetch
from core.http.query_string import parse_query, query_pairs
from core.http.request import Request
from core.http.responses import PRIVATE, empty_response, json_response
from core.resources.cache.representations import Representation
from core.resources.idempotency import read_key
from core.resources.lists.cursors import link_header
from items import examples, services
from items.lists import item_list
from items.schemas import ItemIn, ItemOut, ItemPage, ItemPatch, ItemQuery

router = Router(tags=[tag("Items", "Users see and change their own items, staff see and change all.")])
can_read, can_write = Bearer(scope="items:read"), Bearer(scope="items:write")
HEADERS = [ETAG, CACHE_CONTROL, VARY]


@router.get(
    "",
    auth=can_read,
    **documented(
        query=ItemQuery,
        success=Success(200, ItemPage, headers=[LINK, CACHE_CONTROL, VARY], example=examples.PAGE),
    ),
)
async def list_items(request: Request) -> HttpResponse:
    """List items

    Follow `next_cursor` from page to page. Every page costs the same, however deep.
    An item that exists during the whole walk appears exactly once.
    """
    page = await item_list.page(principal_of(request), parse_query(request, ItemQuery))
    links = link_header(request, query_pairs(request, without="cursor"), page.next_cursor)
    return json_response(page.body, headers={**PRIVATE, "Link": links})


@router.post(
    "",
    auth=can_write,
    **documented(
        success=Success(201, ItemOut, headers=[LOCATION, *HEADERS], example=examples.ITEM),
        takes=[IDEMPOTENCY_KEY],
        example=examples.NEW_ITEM,
    ),
)
async def create_item(request: Request, new: ItemIn) -> HttpResponse:
    """Create an item

    With an Idempotency-Key you can repeat the request until you get a response.
    It creates one item, however often you send it.
    """
    principal = principal_of(request)
    response = await services.create_item(principal, new=new, key=read_key(request, principal))
    return response.to_http()


@router.get(
    "/{item_id}",
    auth=can_read,
    **documented(success=Success(200, ItemOut, headers=HEADERS, example=examples.ITEM), takes=[IF_NONE_MATCH]),
)
@prefetch(services.store.cache_key)
async def get_item(request: Request, item_id: str) -> HttpResponse:
    """Read an item"""
    item = await services.get_item(principal_of(request), item_id=item_id, prefetched=request.prefetched)
    headers = {**PRIVATE, "ETag": entity_tag(item.version)}
    if not_modified(request, headers["ETag"]):
        return empty_response(status=304, headers=headers)
    return json_response(item.body, headers=headers)


@router.put(
    "/{item_id}",
    auth=can_write,
    **documented(
        success=Success(200, ItemOut, headers=HEADERS, example=examples.ITEM),
        takes=[IF_MATCH],
        example=examples.NEW_ITEM,
    ),
)
async def replace_item(request: Request, item_id: str, new: ItemIn) -> HttpResponse:
    """Replace an item

    An omitted optional field returns to its default.
    """
    principal, condition = principal_of(request), precondition(request)
    item = await services.replace_item(principal, item_id=item_id, new=new, precondition=condition)
    return _item_response(item)


@router.patch(
    "/{item_id}",
    auth=can_write,
    **documented(
        success=Success(200, ItemOut, headers=HEADERS, example=examples.ITEM),
        takes=[IF_MATCH],
        body=ItemPatch,
        body_types=[MERGE_PATCH, JSON],
        example=examples.PATCH,
    ),
)
async def patch_item(request: Request, item_id: str) -> HttpResponse:
    """Change fields of an item

    The body is a JSON Merge Patch (RFC 7396). It changes the fields that it contains.
    null returns a field to its default, and metadata is merged at every level.
    """
    patch = parse_body(request)
    principal, condition = principal_of(request), precondition(request)
    item = await services.patch_item(principal, item_id=item_id, patch=patch, precondition=condition)
    return _item_response(item)


@router.delete("/{item_id}", auth=can_write, **documented(success=Success(204), takes=[IF_MATCH]))
async def delete_item(request: Request, item_id: str) -> HttpResponse:
    """Delete an item"""
    await services.delete_item(principal_of(request), item_id=item_id, precondition=precondition(request))
    return empty_response(headers=PRIVATE)


def _item_response(item: Representation) -> HttpResponse:
    return json_response(item.body, headers={**PRIVATE, "ETag": entity_tag(item.version)})
