"""The NinjaAPI of the service: errors become problems, operations become routes."""

import asyncio
from typing import Any

import orjson
import pytest
from ninja import Router, Schema
from ninja.errors import HttpError
from pydantic import ConfigDict, Field, ValidationError, field_validator

from core.api.ninja_api import API
from core.http.problems import Conflict, Problem
from core.http.request import Request
from core.http.responses import json_response
from core.http.routing import Router as Paths
from core.http.validation import describe, invalid

FIXED = "/things/"


class Inner(Schema):
    model_config = ConfigDict(extra="forbid")
    number: int = Field(ge=1, le=9)


class Thing(Schema):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=2, max_length=5)
    inner: list[Inner] = []
    kind: str = "a"

    @field_validator("kind")
    @classmethod
    def known(cls, kind: str) -> str:
        if kind != "a":
            raise ValueError("Must be a kind that is known")
        return kind


things = Router()


@things.post("")
async def make(request: Any, new: Thing) -> Any:
    return json_response(new.model_dump())


@things.get("/{name}")
async def raising(request: Any, name: str, limit: int = 1) -> Any:
    raise {"problem": Conflict("taken"), "http": HttpError(418, "a teapot"), "value": ValueError("secret")}[name]


api = API(urls_namespace="tests")
api.add_router(FIXED.rstrip("/"), things)
paths = Paths()
paths.add_operations(api.operations())


async def answer(method: str, path: str, body: bytes = b"", query: bytes = b"") -> tuple[int, dict[str, Any]]:
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": query, "scheme": "http"}
    request = Request(scope, {b"content-type": b"application/json"}, body)
    found = paths.resolve(path)
    assert found is not None
    route, params = found
    response: Any = await route.views[method](request, **params)
    return response.status_code, orjson.loads(response.content)


def run(*args: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    return asyncio.run(answer(*args, **options))


def test_operations_are_routes_with_their_full_path() -> None:
    assert {path: route.allow for path, route in paths.routes.items()} == {
        "/things/": "OPTIONS, POST",
        "/things/{name}": "GET, HEAD, OPTIONS",
    }


def test_body_is_parsed_and_validated() -> None:
    assert run("POST", FIXED, b'{"name": "abc"}') == (200, {"name": "abc", "inner": [], "kind": "a"})


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"{}", [("#/name", "is required", "missing")]),
        (b"[]", [("#", "must be an object", "model_attributes_type")]),
        (b'{"name": 5}', [("#/name", "must be a string", "string_type")]),
        (b'{"name": "a"}', [("#/name", "must be at least 2 characters", "string_too_short")]),
        (b'{"name": "abcdef"}', [("#/name", "must be at most 5 characters", "string_too_long")]),
        (b'{"name": "abc", "kind": "b"}', [("#/kind", "must be a kind that is known", "value_error")]),
        (
            b'{"name": "abc", "new": 1, "~/": 2}',
            [
                ("#/new", "is not a field that can be set here", "extra_forbidden"),
                ("#/~0~1", "is not a field that can be set here", "extra_forbidden"),
            ],
        ),
        (
            b'{"name": "abc", "inner": [{"number": 1}, {"number": 10}, {"number": 0}, {}]}',
            [
                ("#/inner/1/number", "must be at most 9", "less_than_equal"),
                ("#/inner/2/number", "must be at least 1", "greater_than_equal"),
                ("#/inner/3/number", "is required", "missing"),
            ],
        ),
        (b'{"name": "a\\u0000"}', [("#/name", "must not contain a NUL character", "nul_character")]),
    ],
)
def test_errors_in_the_body_have_pointers(body: bytes, errors: list[tuple[str, str, str]]) -> None:
    status, problem = run("POST", FIXED, body)
    assert (status, problem["type"]) == (422, "/problems/validation-error")
    assert [(one["pointer"], one["detail"], one["code"]) for one in problem["errors"]] == errors


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": NaN}', b"", b" "])
def test_malformed_json_is_400(body: bytes) -> None:
    status, problem = run("POST", FIXED, body)
    assert (status, problem["type"]) == (400, "/problems/malformed-json")


def test_error_in_a_parameter_names_it() -> None:
    status, problem = run("GET", "/things/problem", query=b"limit=x")
    assert status == 422
    assert [(one["parameter"], one["code"]) for one in problem["errors"]] == [("limit", "int_parsing")]
    assert problem["detail"] == "1 field is not valid"


def test_errors_do_not_contain_the_value() -> None:
    secret = "hunter2hunter2"
    _, problem = run("POST", FIXED, b'{"name": "%b", "kind": "%b"}' % (secret.encode(), secret.encode()))
    assert len(problem["errors"]) == 2
    assert secret not in str(problem)


def test_only_problems_of_views_become_responses() -> None:
    assert run("GET", "/things/problem")[0] == 409
    for name, error in (("http", HttpError), ("value", ValueError)):
        with pytest.raises(error):
            run("GET", f"/things/{name}")


def test_model_validated_by_hand_has_the_same_errors() -> None:
    with pytest.raises(ValidationError) as refusal:
        Thing.model_validate({"name": "abc", "inner": [{}]})
    problem: Problem = invalid(refusal.value)
    assert problem.errors == [{"pointer": "#/inner/0/number", "detail": "is required", "code": "missing"}]


def test_other_messages_start_in_lower_case() -> None:
    assert describe({"type": "unheard_of", "msg": "Value error, Something is odd"}) == "something is odd"
    assert describe({"type": "unheard_of", "msg": ""}) == ""
