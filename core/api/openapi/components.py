"""The document's components: schemas, headers and examples that its operations share."""

from typing import Any

from ninja.openapi.schema import REF_TEMPLATE
from ninja.schema import NinjaGenerateJsonSchema
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from core.api.contract import Header, JSONObject
from core.api.headers import REQUEST_ID
from core.http.problems import CONTENT_TYPE, Problem, ValidationFailed

PROBLEM_SCHEMA: JSONObject = {
    "title": "Problem",
    "description": "An error (RFC 9457). Some types have more members.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {
            "description": "The type of problem. The page at this path explains it.",
            "type": "string",
            "format": "uri-reference",
        },
        "title": {"description": "The name of the problem type.", "type": "string"},
        "status": {"description": "The status of the response.", "type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"description": "The cause of this occurrence.", "type": "string"},
        "instance": {"description": "The path of the request.", "type": "string", "format": "uri-reference"},
        "request_id": {"description": "The id of the request, as in X-Request-ID and the log.", "type": "string"},
        "errors": {
            "description": "The errors of individual fields and parameters.",
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
            "description": "The field of the body: a JSON Pointer (RFC 6901) after a `#`.",
            "type": "string",
            "pattern": "^#",
        },
        "parameter": {"description": "The query parameter.", "type": "string"},
        "detail": {"description": "The error, in words.", "type": "string"},
        "code": {"description": "The error, for programs.", "type": "string"},
    },
}
FIELD_ERRORS_EXAMPLE = [
    {"pointer": "#/name", "detail": "must be 1 to 200 characters", "code": "string_too_long"},
    {"parameter": "limit", "detail": "must be 1 to 100", "code": "less_than_equal"},
]


class SchemaGenerator(NinjaGenerateJsonSchema):
    """Omits the titles of fields, which repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Components:
    """Collects the `components` of the document. Two different components must not have the same name."""

    def __init__(self, schemas: JSONObject) -> None:
        self.schemas = schemas
        self.headers: JSONObject = {}
        self.examples: JSONObject = {}
        self.add_schemas({"Problem": PROBLEM_SCHEMA, "FieldError": FIELD_ERROR_SCHEMA})

    def add_schemas(self, schemas: JSONObject) -> None:
        for name, schema in schemas.items():
            if self.schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two schemas of the OpenAPI document are called {name}: rename one of the models")

    def model(self, model: type[BaseModel], mode: JsonSchemaMode) -> JSONObject:
        """Add a model's schema and return a reference. `mode` is "validation" for input, "serialization" for output."""
        schema = model.model_json_schema(ref_template=REF_TEMPLATE, schema_generator=SchemaGenerator, mode=mode)
        self.add_schemas(schema.pop("$defs", {}))
        self.add_schemas({model.__name__: schema})
        return {"$ref": REF_TEMPLATE.format(model=model.__name__)}

    def response_headers(self, headers: list[Header]) -> JSONObject:
        for header in headers:
            described = {"description": header.description, "schema": header.schema, "example": header.example}
            if self.headers.setdefault(header.name, described) != described:
                raise ValueError(f"two headers of the OpenAPI document are called {header.name}")
        return {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in headers}

    def problem_content(self, problems: list[type[Problem]]) -> JSONObject:
        for problem in problems:
            self.examples[problem.slug] = {"summary": problem.title, "value": example_of(problem)}
        examples = {problem.slug: {"$ref": f"#/components/examples/{problem.slug}"} for problem in problems}
        return {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}


def example_of(problem: type[Problem]) -> dict[str, Any]:
    members: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.title,
        "instance": "/v1/items/",
        "request_id": REQUEST_ID.example,
    }
    if problem is ValidationFailed:
        members |= {"detail": "2 fields are not valid", "errors": FIELD_ERRORS_EXAMPLE}
    return members
