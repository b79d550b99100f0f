"""The document of a small API: stated and derived parts, and refused contracts."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from django.http import HttpResponse
from ninja import Path, Router
from ninja.security import HttpBearer
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict, Field

from core.api.contract import JSON, MERGE_PATCH, Failure, Header, Success, documented, tag
from core.api.headers import ETAG, IDEMPOTENCY_KEY, IF_MATCH, IF_NONE_MATCH, LOCATION
from core.api.ninja_api import API
from core.api.openapi.document import build_document
from core.http.problems import Conflict, Forbidden

type JSONObject = dict[str, Any]


class Bearer(HttpBearer):
    def __init__(self, scope: str | None = None) -> None:
        super().__init__()
        self.scope = scope

    async def authenticate(self, request: Any, token: str) -> Any:
        return token


class ThingIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=20)]


class ThingOut(BaseModel):
    id: UUID
    name: str


class ThingQuery(BaseModel):
    limit: int = Field(20, ge=1, le=100, description="How many.")
    cursor: str | None = None
    kind: tuple[Literal["a", "b"], ...] = ()


async def view(request: Any) -> HttpResponse:
    """Do something

    More of it.
    """
    return HttpResponse()


async def view_of_one(request: Any, thing_id: str) -> HttpResponse:
    """Do something with one thing."""
    return HttpResponse()


def document_of(router: Router) -> JSONObject:
    api = API(title="Things", version="1.0.0")
    api.add_router("/v1/things", router)
    document = build_document(api)
    OpenAPIV31SpecValidator(document).validate()
    return document


def operation_of(
    *, method: str = "GET", path: str = "", function: Any = view, auth: Any = None, **contract: Any
) -> JSONObject:
    """Return the description of the only operation of an API."""
    router = Router(tags=["Things"])
    contract.setdefault("success", Success(200))
    router.api_operation([method], path, auth=auth, **documented(**contract))(function)
    paths = document_of(router)["paths"]
    (item,) = (item for shown, item in paths.items() if shown.startswith("/v1/things"))
    operation: JSONObject = item[method.lower()]
    return operation


def headers_of(operation: JSONObject, status: int) -> set[str]:
    return set(operation["responses"][str(status)]["headers"])


def problems_of(operation: JSONObject, status: int) -> list[str]:
    return list(operation["responses"][str(status)]["content"]["application/problem+json"]["examples"])


def test_collection_ends_with_a_slash_and_ids_are_called_id() -> None:
    router = Router()
    router.get("", **documented(success=Success(200)))(view)
    router.get("/{thing_id}", **documented(success=Success(200)))(view_of_one)
    paths = document_of(router)["paths"]
    assert {"/v1/things/", "/v1/things/{id}"} <= set(paths)
    (parameter,) = paths["/v1/things/{id}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("id", "path", True)
    assert parameter["schema"] == {"type": "string", "format": "uuid"}
    assert parameter["description"] == "The id of the thing."


def test_other_path_parameters_keep_their_names() -> None:
    async def by_name(request: Any, name: Annotated[str, Path(description="Its name.")]) -> HttpResponse:
        """Find."""
        return HttpResponse()

    router = Router()
    router.get("/{name}", **documented(success=Success(200)))(by_name)
    (parameter,) = document_of(router)["paths"]["/v1/things/{name}"]["get"]["parameters"]
    assert (parameter["name"], parameter["description"]) == ("name", "Its name.")


def test_summary_description_and_id_come_from_the_view() -> None:
    operation = operation_of()
    assert operation["operationId"] == "view"
    assert (operation["summary"], operation["description"]) == ("Do something", "More of it.")
    short = operation_of(path="/{thing_id}", function=view_of_one)
    assert (short["operationId"], short["summary"]) == ("viewOfOne", "Do something with one thing")
    assert "description" not in short


def test_operation_without_auth_or_body_has_the_common_problems() -> None:
    operation = operation_of()
    assert list(operation["responses"]) == ["200", "400", "406", "429", "431", "500", "503"]
    assert "security" not in operation
    assert headers_of(operation, 200) == {
        "X-Request-ID",
        "Vary",
        "Cache-Control",
        "RateLimit",
        "RateLimit-Policy",
    }
    assert headers_of(operation, 429) >= {"Retry-After", "RateLimit"}
    assert problems_of(operation, 503) == ["service-unavailable"]


def test_auth_brings_401_403_and_security() -> None:
    operation = operation_of(auth=Bearer())
    assert operation["security"] == [{"bearer": []}]
    assert "WWW-Authenticate" in headers_of(operation, 401)
    assert problems_of(operation, 403) == ["forbidden"]


def test_scope_is_documented() -> None:
    operation = operation_of(auth=Bearer("things:read"))
    assert operation["security"] == [{"bearer": ["things:read"]}]
    assert problems_of(operation, 403) == ["insufficient-scope"]


@pytest.mark.parametrize("read_by_ninja", [True, False])
def test_body_brings_its_schema_and_its_problems(read_by_ninja: bool) -> None:
    async def take(request: Any, thing: ThingIn) -> HttpResponse:
        """Take."""
        return HttpResponse()

    contract: JSONObject = {"function": take} if read_by_ninja else {"body": ThingIn}
    operation = operation_of(method="POST", example={"name": "x"}, **contract)
    content = operation["requestBody"]["content"]
    assert operation["requestBody"]["required"]
    assert content[JSON]["schema"] == {"$ref": "#/components/schemas/ThingIn"}
    assert content[JSON]["examples"] == {"Example": {"value": {"name": "x"}}}
    assert {"408", "413", "415", "422"} <= set(operation["responses"])
    assert problems_of(operation, 400) == ["host-not-allowed", "malformed-json"]
    assert problems_of(operation, 422) == ["validation-error"]
    assert "Accept-Patch" not in headers_of(operation, 415)


def test_patch_accepts_both_media_types() -> None:
    operation = operation_of(method="PATCH", body=ThingIn, body_types=[MERGE_PATCH, JSON], example={"name": "a"})
    content = operation["requestBody"]["content"]
    assert list(content) == [MERGE_PATCH, JSON]
    assert content[MERGE_PATCH]["examples"] == content[JSON]["examples"] == {"Example": {"value": {"name": "a"}}}
    assert "Accept-Patch" in headers_of(operation, 415)


def test_document_refuses_unknown_fields() -> None:
    router = Router()
    router.post("", **documented(success=Success(201, ThingOut), body=ThingIn))(view)
    schemas = document_of(router)["components"]["schemas"]
    assert schemas["ThingIn"]["additionalProperties"] is False
    assert schemas["ThingIn"]["properties"]["name"] == {"type": "string", "minLength": 1, "maxLength": 20}
    assert schemas["ThingOut"]["properties"]["id"]["format"] == "uuid"


def test_query_is_described_without_nulls() -> None:
    operation = operation_of(query=ThingQuery)
    limit, cursor, kind = operation["parameters"]
    assert limit == {
        "in": "query",
        "name": "limit",
        "required": False,
        "description": "How many.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    }
    assert cursor["schema"] == {"type": "string"}
    assert kind["schema"]["items"] == {"type": "string", "enum": ["a", "b"]}
    assert "422" in operation["responses"]


def test_success_has_its_headers_body_and_example() -> None:
    success = Success(201, ThingOut, [ETAG, LOCATION], "Made.", example={"id": "x", "name": "y"})
    response = operation_of(method="POST", success=success)["responses"]["201"]
    assert response["description"] == "Made."
    assert {"ETag", "Location"} <= set(response["headers"])
    assert response["content"][JSON]["schema"] == {"$ref": "#/components/schemas/ThingOut"}
    assert response["content"][JSON]["example"] == {"id": "x", "name": "y"}


def test_success_without_a_body_has_no_content() -> None:
    response = operation_of(method="DELETE", success=Success(204))["responses"]["204"]
    assert response["description"] == "No Content"
    assert "content" not in response


def test_idempotency_key_brings_its_problems_and_its_header() -> None:
    operation = operation_of(method="POST", takes=[IDEMPOTENCY_KEY])
    (parameter,) = operation["parameters"]
    assert (parameter["in"], parameter["name"], parameter["required"]) == ("header", "Idempotency-Key", False)
    # Swagger UI would send the example.
    assert "example" not in parameter
    assert "Idempotent-Replayed" in headers_of(operation, 200)
    assert "Retry-After" in headers_of(operation, 409)
    assert "invalid-header" in problems_of(operation, 400)
    assert problems_of(operation, 422) == ["idempotency-mismatch"]


def test_if_match_brings_412_and_428() -> None:
    operation = operation_of(method="PUT", takes=[IF_MATCH])
    assert "ETag" in headers_of(operation, 412)
    assert {"400", "412", "428"} <= set(operation["responses"])


def test_if_none_match_brings_304_with_the_etag() -> None:
    operation = operation_of(success=Success(200, ThingOut, [ETAG]), takes=[IF_NONE_MATCH])
    assert "content" not in operation["responses"]["304"]
    assert headers_of(operation, 304) >= {"ETag", "Cache-Control", "X-Request-ID"}


def test_problems_with_one_status_are_one_response() -> None:
    problems = [Failure(Conflict, "The name is taken."), Failure(Conflict, "It is being deleted."), Forbidden]
    operation = operation_of(auth=Bearer("x"), problems=problems)
    assert operation["responses"]["409"]["description"] == (
        "The request conflicts with the current state. The name is taken. It is being deleted."
    )
    assert problems_of(operation, 403) == ["forbidden", "insufficient-scope"]
    assert operation["responses"]["403"]["description"].splitlines() == [
        "- This is not allowed.",
        "- The API key's scopes do not allow this.",
    ]


def test_tags_are_described() -> None:
    router = Router(tags=[tag("Things", "A group of a test.")])
    router.get("", **documented(success=Success(200)))(view)
    things, service = document_of(router)["tags"]
    assert things == {"name": "Things", "description": "A group of a test."}
    assert service["name"] == "Service"


def test_hidden_operation_is_not_documented() -> None:
    router = Router()
    router.get("", include_in_schema=False)(view)
    assert not [path for path in document_of(router)["paths"] if path.startswith("/v1/")]


def test_document_has_only_configured_servers() -> None:
    assert "servers" not in build_document(API(title="Things", version="1"))
    named = API(title="Things", version="1", servers=[{"url": "https://api.example"}])
    assert build_document(named)["servers"] == [{"url": "https://api.example"}]


def test_route_without_a_contract_is_an_error() -> None:
    router = Router()
    router.get("")(view)
    with pytest.raises(ValueError, match="view has no contract"):
        document_of(router)


def test_two_operations_with_one_name_are_an_error() -> None:
    router = Router()
    router.get("", **documented(success=Success(200)))(view)
    router.get("/again", **documented(success=Success(200)))(view)
    with pytest.raises(ValueError, match=r"two operations .* are called view"):
        document_of(router)


def test_two_schemas_with_one_name_are_an_error() -> None:
    other = type("ThingIn", (BaseModel,), {"__annotations__": {"size": int}})
    router = Router()
    router.post("", **documented(success=Success(201, other), body=ThingIn))(view)
    with pytest.raises(ValueError, match=r"two schemas .* are called ThingIn"):
        document_of(router)


def test_two_headers_with_one_name_are_an_error() -> None:
    other = Header("ETag", "Something else.", {"type": "string"}, "x")
    with pytest.raises(ValueError, match=r"two headers .* are called ETag"):
        operation_of(success=Success(200, None, [ETAG, other]))


def test_contract_does_not_wrap_the_view() -> None:
    contract = documented(success=Success(200))
    decorated = Router().get("", **contract)(view)
    assert decorated is view
