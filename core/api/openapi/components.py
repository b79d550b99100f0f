"""The parts of the document that its operations share, gathered while they are described."""

from typing import Any

from ninja.openapi.schema import REF_TEMPLATE
from ninja.schema import NinjaGenerateJsonSchema
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from core.api.contract import Header, JSONObject
from core.http.problems import CONTENT_TYPE, Problem

REQUEST_ID_EXAMPLE = "0199c0de-7a11-7000-8000-000000000001"

PROBLEM_SCHEMA: JSONObject = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457). A type may have further members of its own.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {
            "description": "The kind of problem; the page at this path explains it.",
            "type": "string",
            "format": "uri-reference",
        },
        "title": {"description": "The kind of problem, in words.", "type": "string"},
        "status": {
            "description": "The status of the answer.",
            "type": "integer",
            "minimum": 400,
            "maximum": 599,
        },
        "detail": {"description": "What is wrong this time.", "type": "string"},
        "instance": {"description": "The path of the request.", "type": "string", "format": "uri-reference"},
        "request_id": {
            "description": "The request's id, as in X-Request-ID and in the log.",
            "type": "string",
        },
        "errors": {
            "description": "What is wrong with each field or parameter.",
            "type": "array",
            "maxItems": 100,
            "items": {"$ref": "#/components/schemas/FieldError"},
        },
    },
}
FIELD_ERROR_SCHEMA: JSONObject = {
    "title": "FieldError",
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "pointer": {
            "description": "Where in the body: a JSON Pointer (RFC 6901) after a `#`.",
            "type": "string",
            "pattern": "^#",
        },
        "parameter": {"description": "Which parameter of the query.", "type": "string"},
        "detail": {"description": "What is wrong, in words.", "type": "string"},
        "code": {"description": "What is wrong, for programs.", "type": "string"},
    },
}
FIELD_ERRORS_EXAMPLE = [
    {"pointer": "#/name", "detail": "must be 1 to 200 characters", "code": "string_too_long"},
    {"parameter": "limit", "detail": "must be 1 to 100", "code": "less_than_equal"},
]


class SchemaGenerator(NinjaGenerateJsonSchema):
    """ninja's generator, without a title that only repeats the name of each field."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Components:
    """`components` of the document: what has a name is there once, and two of one name are an error."""

    def __init__(self, schemas: JSONObject) -> None:
        self.schemas = schemas
        self.headers: JSONObject = {}
        self.examples: JSONObject = {}
        self.add_schemas({"Problem": PROBLEM_SCHEMA, "FieldError": FIELD_ERROR_SCHEMA})

    def add_schemas(self, schemas: JSONObject) -> None:
        """Takes in schemas by their names. Raises ValueError when another schema has the name already."""
        for name, schema in schemas.items():
            if self.schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two schemas of the OpenAPI document are called {name}: rename one of the models")

    def model(self, model: type[BaseModel], mode: JsonSchemaMode) -> JSONObject:
        """A reference to a model's schema; `mode` is "validation" for input, "serialization" for output."""
        schema = model.model_json_schema(ref_template=REF_TEMPLATE, schema_generator=SchemaGenerator, mode=mode)
        self.add_schemas(schema.pop("$defs", {}))
        self.add_schemas({model.__name__: schema})
        return {"$ref": REF_TEMPLATE.format(model=model.__name__)}

    def response_headers(self, headers: list[Header]) -> JSONObject:
        """The `headers` member of a response."""
        for header in headers:
            described = {
                "description": header.description,
                "schema": header.schema,
                "example": header.example,
            }
            if self.headers.setdefault(header.name, described) != described:
                raise ValueError(f"two headers of the OpenAPI document are called {header.name}")
        return {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in headers}

    def problem_content(self, problems: list[type[Problem]]) -> JSONObject:
        """The `content` member of an answer that is one of these problems."""
        for problem in problems:
            self.examples[problem.slug] = {"summary": problem.title, "value": example_of(problem)}
        examples = {problem.slug: {"$ref": f"#/components/examples/{problem.slug}"} for problem in problems}
        return {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}


def example_of(problem: type[Problem]) -> dict[str, Any]:
    """The problem as a client might see it."""
    members: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.title,
        "instance": "/v1/items/",
        "request_id": REQUEST_ID_EXAMPLE,
    }
    if problem.status == 422 and problem.slug == "validation-error":
        members |= {"detail": "2 fields are not valid", "errors": FIELD_ERRORS_EXAMPLE}
    return members
