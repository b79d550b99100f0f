"""The description of one operation: its parameters, body and responses."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from ninja.openapi.schema import REF_TEMPLATE
from pydantic import BaseModel

from core.api.contract import Contract, Failure, Header, JSONObject, Success
from core.api.failures import STATUS_HEADERS
from core.api.headers import CACHE_CONTROL, EVERYWHERE, LIMITED
from core.api.openapi.components import Components, SchemaGenerator

NOT_MODIFIED = "The resource still has the version in `If-None-Match`. The response has no body."


def describe_responses(
    contract: Contract, failures: Iterable[Failure], components: Components, *, limited: bool
) -> JSONObject:
    """Return the responses by status: the success, 304 if the operation supports it, and the problems."""
    common = [*EVERYWHERE, *(LIMITED if limited else ())]
    success = contract.success
    extra = [header for taken in contract.takes for header in taken.success_headers]
    headers = [*success.headers, *extra, *((CACHE_CONTROL,) if limited else ()), *common]
    responses = {str(success.status): _describe_success(success, headers, components)}
    if any(taken.not_modified for taken in contract.takes):
        kept = [header for header in headers if header.name in {"ETag", "Cache-Control"}]
        responses["304"] = {"description": NOT_MODIFIED, "headers": components.response_headers([*kept, *common])}
    by_status: dict[int, list[Failure]] = {}
    for failure in [*contract.failures, *failures]:
        by_status.setdefault(failure.problem.status, []).append(failure)
    for status in sorted(by_status):
        responses[str(status)] = _describe_failures(by_status[status], common, components)
    return responses


def _describe_success(success: Success, headers: list[Header], components: Components) -> JSONObject:
    described: JSONObject = {
        "description": success.description or HTTPStatus(success.status).phrase,
        "headers": components.response_headers(headers),
    }
    schema = success.schema
    if success.model is not None:
        schema = components.model(success.model, "serialization")
    if schema is not None:
        described["content"] = {success.media_type: {"schema": schema}}
        if success.example is not None:
            described["content"][success.media_type]["example"] = success.example
        described["content"] |= {media_type: {"schema": {"type": "string"}} for media_type in success.also}
    return described


def _describe_failures(failures: list[Failure], common: list[Header], components: Components) -> JSONObject:
    """Describe problems with the same status as one response, with an example for each problem."""
    headers = [header for failure in failures for header in failure.headers]
    headers += [*STATUS_HEADERS.get(failures[0].problem.status, ()), CACHE_CONTROL, *common]
    problems = list(dict.fromkeys(failure.problem for failure in failures))
    lines = []
    for problem in problems:
        reasons = [failure.why for failure in failures if failure.problem is problem and failure.why]
        lines.append(f"{problem.title}. {' '.join(dict.fromkeys(reasons))}".strip())
    return {
        "description": lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines),
        "headers": components.response_headers(headers),
        "content": components.problem_content(problems),
    }


def describe_body(contract: Contract, components: Components) -> JSONObject | None:
    if contract.body is None:
        return None
    media: JSONObject = {"schema": components.model(contract.body, "validation")}
    content = {media_type: with_example(media, contract) for media_type in contract.body_types}
    return {"required": True, "content": content}


def with_example(media: JSONObject, contract: Contract) -> JSONObject:
    return media if contract.example is None else media | {"examples": {"Example": {"value": contract.example}}}


def describe_request_headers(contract: Contract) -> list[JSONObject]:
    return [
        {
            "in": "header",
            "name": header.name,
            "required": False,
            "description": header.description,
            "schema": header.schema,
        }
        for header in contract.takes
    ]


def describe_query(query: type[BaseModel], components: Components) -> list[JSONObject]:
    schema: dict[str, Any] = query.model_json_schema(ref_template=REF_TEMPLATE, schema_generator=SchemaGenerator)
    components.add_schemas(schema.get("$defs", {}))
    required = schema.get("required", [])
    return [
        tidy_parameter({"in": "query", "name": name, "required": name in required, "schema": field})
        for name, field in schema["properties"].items()
    ]


def tidy_parameter(parameter: JSONObject) -> JSONObject:
    """Turn pydantic's description of a field into a parameter: no nulls, titles, or internal path names."""
    schema = dict(parameter["schema"])
    # A query cannot contain null. In a model, null only marks an omitted parameter.
    options = [option for option in schema.pop("anyOf", schema.pop("allOf", [])) if option != {"type": "null"}]
    schema |= options[0] if len(options) == 1 else {"anyOf": options} if options else {}
    schema.pop("title", None)
    tidy = parameter | {"schema": schema}
    if description := schema.pop("description", None):
        tidy["description"] = description
    name = parameter["name"]
    if parameter["in"] == "path" and name.endswith("_id"):
        # Views accept any text as an id, because a malformed id is a 404 like an unknown id.
        tidy["name"] = "id"
        tidy["schema"] = {"type": "string", "format": "uuid"}
        tidy["description"] = f"The id of the {name.removesuffix('_id').replace('_', ' ')}."
    return tidy
