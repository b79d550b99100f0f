"""The service's document is valid and complete, and the service's responses match it."""

import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from agent_router.api import api
from core.api.openapi.document import build_document
from tests.asgi_client import fetch
from tests.core.api.openapi_answers import OpenAPIDocument
from tests.running_service import PASSWORD

# Requests that browsers make on their own, and Django's pages.
NOT_DOCUMENTED = ("/favicon.ico", "/static/", "/admin")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_document(api)


@pytest.fixture(scope="module")
def promised(document: dict[str, Any]) -> OpenAPIDocument:
    return OpenAPIDocument(document)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, item[method]) for path, item in document["paths"].items() for method in item]


def test_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    from agent_router.asgi import router  # it builds the whole service, which the other tests do not need

    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path.rstrip("/"))) for method, path, _ in operations(document)
    }
    served = {
        (method, re.sub(r"\{\w+\}", "{}", template.rstrip("/")))
        for template, route in router.routes.items()
        for method in set(route.views) - {"HEAD", "OPTIONS"}
        if not template.startswith(NOT_DOCUMENTED)
    }
    assert served == documented


def test_operations_have_short_names_and_summaries(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, path, operation in operations(document):
        assert re.fullmatch(r"[a-z][a-zA-Z]{2,24}", operation["operationId"]), operation["operationId"]
        assert 3 < len(operation["summary"]) < 60, path
        assert operation["tags"], path
    assert {"listItems", "createItem", "getItem"} <= set(names)
    assert {tag["name"] for tag in document["tags"]} == {
        tag for _, _, operation in operations(document) for tag in operation["tags"]
    }


def test_every_response_has_the_request_id(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"], f"{method} {path} {status}"
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], f"{method} {path} {status}"


def test_examples_match_their_schemas(document: dict[str, Any], promised: OpenAPIDocument) -> None:
    faults: list[str] = []
    for method, path, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for body in bodies for media in body.get("content", {}).values()):
            examples = [one["value"] for one in media.get("examples", {}).values() if "value" in one]
            examples += [media["example"]] if "example" in media else []
            for example in examples:
                value = json.loads(orjson.dumps(example))
                faults += [f"{method} {path}: {fault}" for fault in promised.schema_faults(media["schema"], value)]
    for slug, example in document["components"]["examples"].items():
        problem = {"$ref": "#/components/schemas/Problem"}
        faults += [f"{slug}: {fault}" for fault in promised.schema_faults(problem, example["value"])]
    assert not faults


def test_request_bodies_have_examples(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert media.get("examples"), f"{method} {path}"


def test_optional_parameters_have_no_examples(document: dict[str, Any]) -> None:
    # Swagger UI would send the example, for instance of a filter or of If-None-Match.
    for _, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if not parameter["required"]:
                assert "example" not in parameter, f"{path} {parameter['name']}"


def test_document_is_served_compressed_and_with_an_etag() -> None:
    plain, zipped = fetch("/openapi.json"), fetch("/openapi.json", accept_encoding="gzip")
    assert (plain.status, plain.headers["content-type"]) == (200, "application/json")
    assert gzip.decompress(zipped.body) == plain.body
    assert fetch("/openapi.json", if_none_match=plain.headers["etag"]).status == 304


# Responses of the running service


@pytest.fixture
def call(promised: OpenAPIDocument) -> Callable[..., httpx.Response]:
    """Send a request and fail if the response does not match the document."""

    def send(client: httpx.Client, method: str, path: str, expected: int, **options: Any) -> httpx.Response:
        response = client.request(method, path, **options)
        assert response.status_code == expected, response.text
        try:
            body = response.json()
        except ValueError:
            body = None
        faults = promised.faults(method, path, response.status_code, dict(response.headers), body)
        assert not faults, f"{method} {path} {response.status_code}: {faults}"
        return response

    return send


def test_item_responses_match_the_document(me: httpx.Client, call: Callable[..., httpx.Response]) -> None:
    key = {"Idempotency-Key": "documented-1"}
    path = call(me, "POST", "/v1/items/", 201, json={"name": "x"}, headers=key).headers["location"]
    call(me, "POST", "/v1/items/", 201, json={"name": "x"}, headers=key)
    call(me, "POST", "/v1/items/", 422, json={"name": "y"}, headers=key)
    call(me, "POST", "/v1/items/", 400, json={"name": "y"}, headers={"Idempotency-Key": ""})
    call(me, "POST", "/v1/items/", 422, json={"name": "", "colour": 1})
    call(me, "GET", path, 200)
    call(me, "GET", path, 304, headers={"If-None-Match": '"1"'})
    call(me, "GET", path, 406, headers={"Accept": "text/html"})
    call(me, "GET", "/v1/items/x", 404)
    call(me, "GET", "/v1/items/?limit=1&total=true", 200)
    call(me, "GET", "/v1/items/?limit=0&colour=red", 422)
    call(me, "PUT", path, 200, json={"name": "z"})
    call(me, "PUT", path, 412, json={"name": "z"}, headers={"If-Match": '"1"'})
    call(me, "PUT", path, 400, json={"name": "z"}, headers={"If-Match": "1"})
    call(me, "PUT", path, 415, content=b"x", headers={"Content-Type": "text/plain"})
    call(me, "PATCH", path, 200, json={"status": "archived"})
    call(me, "PATCH", path, 415, content=b"x", headers={"Content-Type": "text/plain"})
    call(me, "PATCH", path, 400, content=b"{", headers={"Content-Type": "application/merge-patch+json"})
    call(me, "DELETE", path, 204)
    call(me, "DELETE", path, 404)


def test_account_responses_match_the_document(
    me: httpx.Client, anonymous: httpx.Client, call: Callable[..., httpx.Response]
) -> None:
    email = me.get("/v1/auth/me").json()["email"]
    account = {"email": email, "password": PASSWORD}
    call(anonymous, "POST", "/v1/auth/register", 409, json=account)
    call(anonymous, "POST", "/v1/auth/register", 422, json={"email": "x"})
    call(anonymous, "POST", "/v1/auth/login", 401, json={**account, "password": "something-else"})
    tokens = call(anonymous, "POST", "/v1/auth/login", 200, json=account).json()
    call(anonymous, "POST", "/v1/auth/refresh", 200, json={"refresh_token": tokens["refresh_token"]})
    call(anonymous, "POST", "/v1/auth/refresh", 401, json={"refresh_token": "none"})
    call(anonymous, "GET", "/v1/auth/me", 401)
    call(me, "GET", "/v1/auth/me", 200)
    call(me, "PATCH", "/v1/auth/me", 403, json={"email": f"new.{email}", "current_password": "something-else"})
    call(me, "GET", "/v1/auth/sessions", 200)
    call(me, "DELETE", "/v1/auth/sessions/x", 404)
    made = call(me, "POST", "/v1/auth/api-keys", 201, json={"name": "k", "scopes": ["items:read"]}).json()
    call(me, "GET", "/v1/auth/api-keys", 200)
    (secret,) = (value for value in made.values() if isinstance(value, str) and value.startswith("ar_"))
    key = {"Authorization": f"Bearer {secret}"}
    call(anonymous, "GET", "/v1/auth/me", 403, headers=key)
    call(anonymous, "POST", "/v1/items/", 403, headers=key, json={"name": "x"})
    call(me, "DELETE", f"/v1/auth/api-keys/{made['id']}", 204)
    call(me, "POST", "/v1/auth/logout", 204)
    call(me, "POST", "/v1/auth/logout", 401)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_page_responses_match_the_document(
    anonymous: httpx.Client, call: Callable[..., httpx.Response], accept: str
) -> None:
    headers = {"Accept": accept}
    for path in ("/", "/v1", "/docs", "/problems/", "/problems/not-found", "/openapi.json"):
        etag = call(anonymous, "GET", path, 200, headers=headers).headers["etag"]
        call(anonymous, "GET", path, 304, headers={**headers, "If-None-Match": etag})
    for path in ("/health/live", "/health/ready", "/health/startup", "/metrics"):
        call(anonymous, "GET", path, 200, headers=headers)
    call(anonymous, "GET", "/problems/nope", 404, headers=headers)
    call(anonymous, "GET", "/", 400, headers={**headers, "Host": "elsewhere.example"})
