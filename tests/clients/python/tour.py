"""A tour of the API with a client generated from /openapi.json. The client's own types are checked by mypy."""

import os
import uuid
from typing import Any

from agent_router_client import AuthenticatedClient, Client
from agent_router_client.api.accounts import (
    get_account,
    list_api_keys,
    list_sessions,
    log_in,
    log_out,
    make_api_key,
    refresh_tokens,
    register,
    revoke_api_key,
)
from agent_router_client.api.items import create_item, delete_item, get_item, list_items, patch_item, replace_item
from agent_router_client.api.service import get_liveness, get_readiness
from agent_router_client.models.api_key_in import APIKeyIn
from agent_router_client.models.item_in import ItemIn
from agent_router_client.models.item_in_metadata import ItemInMetadata
from agent_router_client.models.item_out import ItemOut
from agent_router_client.models.item_page import ItemPage
from agent_router_client.models.item_patch import ItemPatch
from agent_router_client.models.login_in import LoginIn
from agent_router_client.models.problem import Problem
from agent_router_client.models.refresh_in import RefreshIn
from agent_router_client.models.register_in import RegisterIn
from agent_router_client.models.sort import Sort
from agent_router_client.models.status import Status
from agent_router_client.types import UNSET, Response, Unset

BASE_URL = os.environ["BASE_URL"]


def parsed[T](response: Response[T | Problem], kind: type[T], status: int = 200) -> T:
    """Return the parsed body. Assert its status and type."""
    assert response.status_code == status, response.content
    assert isinstance(response.parsed, kind), response.parsed
    return response.parsed


def problem_of(response: Response[Any], status: int) -> Problem:
    assert response.status_code == status, response.content
    problem = response.parsed
    assert isinstance(problem, Problem)
    assert problem.status == status
    return problem


def log_in_as_new_user() -> AuthenticatedClient:
    """Return a client logged in as a new user."""
    email, password = f"{uuid.uuid4()}@example.org", "Sturdy-horse-battery-9"
    anonymous = Client(base_url=BASE_URL)
    user = register.sync(client=anonymous, body=RegisterIn(email=email, password=password))
    assert user is not None
    assert not isinstance(user, Problem)
    problem_of(log_in.sync_detailed(client=anonymous, body=LoginIn(email=email, password="wrong")), 401)
    first = log_in.sync(client=anonymous, body=LoginIn(email=email, password=password))
    assert first is not None
    assert not isinstance(first, Problem)
    tokens = refresh_tokens.sync(client=anonymous, body=RefreshIn(refresh_token=first.refresh_token))
    assert tokens is not None
    assert not isinstance(tokens, Problem)
    client = AuthenticatedClient(base_url=BASE_URL, token=tokens.access_token)
    me = get_account.sync(client=client)
    assert me is not None
    assert not isinstance(me, Problem)
    assert (me.id, me.email) == (user.id, email)
    return client


def use_items(client: AuthenticatedClient) -> None:
    new = ItemIn(name="tour", status=Status.DRAFT, metadata=ItemInMetadata.from_dict({"a": [1, None]}))
    key = str(uuid.uuid4())
    item = parsed(create_item.sync_detailed(client=client, body=new, idempotency_key=key), ItemOut, 201)
    again = parsed(create_item.sync_detailed(client=client, body=new, idempotency_key=key), ItemOut, 201)
    assert again == item
    assert (item.version, item.metadata.to_dict()) == (1, {"a": [1, None]})
    assert get_item.sync_detailed(item.id, client=client, if_none_match='"1"').status_code == 304
    replaced = parsed(replace_item.sync_detailed(item.id, client=client, body=ItemIn(name="replaced")), ItemOut)
    assert (replaced.status, replaced.version) == (Status.ACTIVE, 2)
    patch = ItemPatch(description=None, status=Status.ARCHIVED)
    problem_of(patch_item.sync_detailed(item.id, client=client, body=patch, if_match='"1"'), 412)
    patched = parsed(patch_item.sync_detailed(item.id, client=client, body=patch, if_match='"2"'), ItemOut)
    assert (patched.name, patched.status) == ("replaced", Status.ARCHIVED)
    assert delete_item.sync_detailed(item.id, client=client).status_code == 204
    problem_of(get_item.sync_detailed(item.id, client=client), 404)


def page_through_lists(client: AuthenticatedClient) -> None:
    for number in range(4):
        parsed(create_item.sync_detailed(client=client, body=ItemIn(name=f"n{number}")), ItemOut, 201)
    seen: list[str] = []
    cursor: str | Unset = UNSET
    while True:
        response = list_items.sync_detailed(
            client=client, limit=2, sort=Sort.NAME, status=[Status.ACTIVE], total=True, cursor=cursor
        )
        page = parsed(response, ItemPage)
        assert page.total == 4
        seen += [item.name for item in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert seen == ["n0", "n1", "n2", "n3"]
    problem = problem_of(list_items.sync_detailed(client=client, cursor="forged"), 422)
    assert problem.errors
    assert problem.errors[0].parameter == "cursor"


def manage_account(client: AuthenticatedClient) -> None:
    key = make_api_key.sync(client=client, body=APIKeyIn.from_dict({"name": "tour", "scopes": ["items:read"]}))
    assert key is not None
    assert not isinstance(key, Problem)
    by_key = AuthenticatedClient(base_url=BASE_URL, token=key.key)
    parsed(list_items.sync_detailed(client=by_key), ItemPage)
    problem_of(create_item.sync_detailed(client=by_key, body=ItemIn(name="x")), 403)
    keys = list_api_keys.sync(client=client)
    assert keys is not None
    assert not isinstance(keys, Problem)
    assert [one.prefix for one in keys.api_keys] == [key.prefix]
    assert revoke_api_key.sync_detailed(key.id, client=client).status_code == 204
    sessions = list_sessions.sync(client=client)
    assert sessions is not None
    assert not isinstance(sessions, Problem)
    assert [one.current for one in sessions.sessions] == [True]
    assert log_out.sync_detailed(client=client).status_code == 204
    problem_of(get_account.sync_detailed(client=client), 401)


def read_health() -> None:
    live = get_liveness.sync(client=Client(base_url=BASE_URL))
    ready = get_readiness.sync(client=Client(base_url=BASE_URL))
    assert live is not None
    assert ready is not None
    assert not isinstance(live, Problem)
    assert not isinstance(ready, Problem)
    assert ready.checks.additional_properties["database"].status == "up"


me = log_in_as_new_user()
use_items(me)
page_through_lists(me)
manage_account(me)
read_health()
