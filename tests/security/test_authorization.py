"""Authorization of every operation in the OpenAPI document, for every kind of caller.

The first test fails for an operation without a row in MATRIX, so that each new operation gets one.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import httpx
import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver

from agent_router.api import api
from core.api.openapi.document import build_document
from tests.running_service import PASSWORD, RunningService

type Actor = Literal["anonymous", "other", "owner", "staff", "key_without_scope", "key_with_scope"]
ACTORS: tuple[Actor, ...] = get_args(Actor.__value__)


class World:
    """An owner with an item, a session, a refresh token and an API key, and every other kind of caller.

    Each is created when a test first uses it. `scope` is the scope that only one of the two API keys has.
    """

    def __init__(self, service: RunningService, scope: str) -> None:
        self.service, self.scope = service, scope
        self._clients: dict[Actor, httpx.Client] = {}
        self._email, self._tokens = "", {"refresh_token": ""}
        self._resource_ids: dict[str, str] = {}

    def __getitem__(self, actor: Actor) -> httpx.Client:
        if actor not in self._clients:
            self._clients[actor] = self._make(actor)
        return self._clients[actor]

    def _make(self, actor: Actor) -> httpx.Client:
        if actor == "anonymous":
            return self.service.client()
        if actor.startswith("key"):
            scope = self.scope if actor == "key_with_scope" else _other_scope(self.scope)
            return self.service.client(headers={"Authorization": f"Bearer {self.make_key(scope)['key']}"})
        client: Any = self.service.user()
        if actor == "staff":
            # No worker has seen this access token yet, so none has cached the user without staff rights.
            self.service.query("UPDATE accounts_user SET is_staff = TRUE WHERE email = ?", client.email)
        if actor == "owner":
            self._email, self._tokens = client.email, client.tokens
        return client  # type: ignore[no-any-return]

    def make_key(self, scope: str = "items:read") -> Any:
        return self["owner"].post("/v1/auth/api-keys", json={"name": scope, "scopes": [scope]}).json()

    def resource_id(self, collection: str) -> str:
        if collection not in self._resource_ids:
            created = self["owner"].post(f"/v1/{collection}/", json={"name": "mine"}).json()
            self._resource_ids[collection] = str(created["id"])
        return self._resource_ids[collection]

    @property
    def item_id(self) -> str:
        return self.resource_id("items")

    @cached_property
    def key_id(self) -> str:
        return str(self.make_key()["id"])

    @cached_property
    def session_id(self) -> str:
        return str(self["owner"].get("/v1/auth/sessions").json()["sessions"][0]["id"])

    @property
    def email(self) -> str:
        self.session_id  # noqa: B018  # makes the owner
        return self._email

    @property
    def refresh_token(self) -> str:
        self.session_id  # noqa: B018
        return str(self._tokens["refresh_token"])

    def path(self, template: str) -> str:
        """Return the operation's path with the id of the owner's resource."""
        for collection in RESOURCES:
            if template == f"/v1/{collection}/{{id}}":
                return template.replace("{id}", self.resource_id(collection))
        ids = {"sessions/{id}": "session_id", "api-keys/{id}": "key_id"}
        for ending, name in ids.items():
            if template.endswith(ending):
                return template.replace("{id}", getattr(self, name))
        return template.replace("{slug}", "not-found")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def _other_scope(scope: str) -> str:
    """Return a scope that does not permit what this one does."""
    return scope.replace(":read", ":write") if scope.endswith(":read") else scope.replace(":write", ":read")


@dataclass(frozen=True, slots=True)
class Row:
    """The expected statuses: anonymous, other user, owner, staff, API key without the scope, API key with it."""

    statuses: tuple[int, int, int, int, int, int]
    body: Callable[[World], Any] = lambda world: None
    scope: str = "items:read"


def account(*, success: int, of_others: int | None = None, body: Callable[[World], Any] = lambda world: None) -> Row:
    """Return the row of an operation on the caller's account. API keys are refused, and staff have no more rights."""
    others = of_others or success
    return Row((401, others, success, others, 403, 403), body)


def public(status: int, body: Callable[[World], Any] = lambda world: None) -> Row:
    """Return the row of an operation with the same status for everyone."""
    return Row((status,) * 6, body)


def new_account(world: World) -> dict[str, str]:
    return {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}


NEW, PATCH = {"name": "taken over"}, {"status": "archived"}
WRITE = "items:write"
# Collections whose routes are like those of items. `manage.py startresource` adds the next one.
RESOURCES = ["items"]


def resource_rows(collection: str) -> dict[str, Row]:
    """Return the rows of a resource: users reach their own, staff all, and a key needs the scope."""
    read, write = f"{collection}:read", f"{collection}:write"
    one = f"/v1/{collection}/{{id}}"
    return {
        f"GET /v1/{collection}/": Row((401, 200, 200, 200, 403, 200), scope=read),
        f"POST /v1/{collection}/": Row((401, 201, 201, 201, 403, 201), lambda world: NEW, write),
        f"GET {one}": Row((401, 404, 200, 200, 403, 200), scope=read),
        f"PUT {one}": Row((401, 404, 200, 200, 403, 200), lambda world: NEW, write),
        f"PATCH {one}": Row((401, 404, 200, 200, 403, 200), lambda world: PATCH, write),
        f"DELETE {one}": Row((401, 404, 204, 204, 403, 204), scope=write),
    }


MATRIX: dict[str, Row] = {
    **{name: row for collection in RESOURCES for name, row in resource_rows(collection).items()},
    "POST /v1/auth/register": public(201, new_account),
    "POST /v1/auth/login": public(200, lambda world: {"email": world.email, "password": PASSWORD}),
    # A refresh token suffices, whatever the other credentials are.
    "POST /v1/auth/refresh": public(200, lambda world: {"refresh_token": world.refresh_token}),
    "POST /v1/auth/logout": account(success=204),
    "POST /v1/auth/logout-all": account(success=204),
    "POST /v1/auth/password": account(
        success=204, body=lambda world: {"current_password": PASSWORD, "new_password": f"New-{PASSWORD}"}
    ),
    "GET /v1/auth/me": account(success=200),
    "PATCH /v1/auth/me": account(
        success=200,
        body=lambda world: {"email": f"{secrets.token_hex(8)}@example.org", "current_password": PASSWORD},
    ),
    "DELETE /v1/auth/me": account(success=204),
    "GET /v1/auth/sessions": account(success=200),
    "DELETE /v1/auth/sessions/{id}": account(success=204, of_others=404),
    "POST /v1/auth/api-keys": account(success=201, body=lambda world: {"name": "k", "scopes": ["items:read"]}),
    "GET /v1/auth/api-keys": account(success=200),
    "DELETE /v1/auth/api-keys/{id}": account(success=204, of_others=404),
    **dict.fromkeys(
        (
            "GET /", "GET /docs", "GET /health/live", "GET /health/ready", "GET /health/startup", "GET /metrics",
            "GET /openapi.json", "GET /problems/", "GET /problems/{slug}", "GET /v1",
        ),
        public(200),
    ),
}  # fmt: skip
# The operations after which the resource no longer exists.
DESTRUCTIVE = {name for name in MATRIX if name.startswith("DELETE")} | {
    f"POST /v1/auth/{name}" for name in ("refresh", "logout", "logout-all", "password")
}


@pytest.fixture
def make_world(service: RunningService) -> Iterator[Callable[[str], World]]:
    worlds: list[World] = []

    def make(scope: str) -> World:
        worlds.append(World(service, scope))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture(scope="module")
def readers(service: RunningService) -> Iterator[World]:
    """A world for reads only."""
    world = World(service, "items:read")
    yield world
    world.close()


def test_matrix_has_every_operation() -> None:
    document = build_document(api)
    assert set(MATRIX) == {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


@pytest.mark.parametrize("name", MATRIX)
def test_every_caller_gets_the_status_in_the_matrix(
    name: str, readers: World, make_world: Callable[[str], World]
) -> None:
    row = MATRIX[name]
    method, template = name.split()
    world = readers if method == "GET" and row.scope == "items:read" else make_world(row.scope)
    for actor, expected in zip(ACTORS, row.statuses, strict=True):
        response = world[actor].request(method, world.path(template), json=row.body(world))
        assert response.status_code == expected, f"{actor}: {response.status_code} {response.text}"
        if expected >= 400:
            assert "mine" not in response.text
        elif name in DESTRUCTIVE:
            world = make_world(row.scope)


def test_refused_change_changes_nothing(make_world: Callable[[str], World]) -> None:
    world = make_world(WRITE)
    before = world["owner"].get(f"/v1/items/{world.item_id}").content
    for name, row in MATRIX.items():
        method, template = name.split()
        if method == "GET":
            continue
        for actor, expected in zip(ACTORS, row.statuses, strict=True):
            if expected >= 400:
                world[actor].request(method, world.path(template), json=row.body(world))
    owner = world["owner"]
    assert owner.get(f"/v1/items/{world.item_id}").content == before
    assert world.session_id in owner.get("/v1/auth/sessions").text
    assert world.key_id in owner.get("/v1/auth/api-keys").text
    assert owner.get("/v1/auth/me").json()["email"] == world.email


def test_lists_contain_only_the_callers_resources(readers: World) -> None:
    world = readers
    paths = {"/v1/items/": world.item_id, "/v1/auth/sessions": world.session_id, "/v1/auth/api-keys": world.key_id}
    for path, found in paths.items():
        assert found in world["owner"].get(path).text
        assert found not in world["other"].get(path).text
    assert world.item_id in world["staff"].get("/v1/items/").text
    assert world.item_id in world["key_with_scope"].get("/v1/items/").text


FORBIDDEN_FIELDS: dict[str, Any] = {
    "id": "0199c0de-7a11-7000-8000-0000000000aa", "owner_id": "0199c0de-7a11-7000-8000-0000000000aa",
    "user_id": "0199c0de-7a11-7000-8000-0000000000aa", "version": 99, "created_at": "2020-01-01T00:00:00Z",
    "is_staff": True, "is_superuser": True, "is_active": True, "groups": [1], "user_permissions": [1],
    "scope": "admin", "prefix": "aaaaaaaaaaaa", "owner": "x", "__class__": "x", "password_hash": "x",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, row in MATRIX.items() if name.split()[0] in ("POST", "PUT", "PATCH")])
def test_client_cannot_set_internal_fields(name: str, make_world: Callable[[str], World]) -> None:
    world, (method, template) = make_world(WRITE), name.split()
    body = MATRIX[name].body(world)
    if body is None:
        return  # the operation has no body
    for field, value in FORBIDDEN_FIELDS.items():
        response = world["owner"].request(method, world.path(template), json={**body, field: value})
        assert response.status_code == 422, f"{field}: {response.text}"
        assert [error["pointer"] for error in response.json()["errors"]] == [f"#/{field}"]


def admin_paths(patterns: list[Any], prefix: str = "/admin/") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + _filled_in(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from admin_paths(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and "(" not in path:
            yield path


def _filled_in(pattern: str) -> str:
    for parameter in ("<path:object_id>", "<id>"):
        pattern = pattern.replace(parameter, "0199c0de-7a11-7000-8000-0000000000aa")
    return pattern.replace("<int:content_type_id>", "1")


def test_admin_requires_an_admin_session(service: RunningService) -> None:
    """An access token, even of staff, is not an admin session."""
    paths = [path for path in admin_paths(admin.site.get_urls()) if path not in ("/admin/login/", "/admin/logout/")]
    assert len(paths) > 20
    staff = service.staff()
    staff.close()
    with service.client() as anonymous:
        for token in ("", str(staff.headers["Authorization"])):
            for path, method in ((path, method) for path in paths for method in ("GET", "POST")):
                response = anonymous.request(method, path, headers={"Authorization": token})
                is_log_in = response.status_code == 302 and response.headers["location"].startswith("/admin/login/")
                assert is_log_in or response.status_code in (403, 404, 405), f"{method} {path} {response.status_code}"
