"""The OpenAPI document: ninja's document, completed by the contracts of the routes."""

import re
from collections.abc import Sequence
from typing import Any

from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from core.api.contract import EXTRA, MERGE_PATCH, Contract, JSONObject, Tag
from core.api.failures import automatic_failures
from core.api.ninja_api import API
from core.api.openapi.components import Components
from core.api.openapi.operations import (
    describe_body,
    describe_query,
    describe_request_headers,
    describe_responses,
    tidy_parameter,
    with_example,
)
from core.api.openapi.plain_paths import PLAIN_OPERATIONS, SERVICE, PlainOperation

DESCRIPTION = """\
**Authentication**: send `Authorization: Bearer …` with an access token from `POST /v1/auth/login` or an API key.
On this page, press *Authorize* and paste either of them.

**Errors** are problems (RFC 9457, `application/problem+json`). The `type` of a problem is the path of a page that
explains it, and [the list of problems](/problems/) links to all of them. Quote the `request_id` when you ask for help.

**Conditional requests**: the `ETag` of a resource is its version. With `If-None-Match` an unchanged resource is not
sent again. With `If-Match` a change cannot overwrite the change of another client.

**Retries**: a `POST` with an `Idempotency-Key` has one effect, however often you send it.

**Rate limits**: every response under `/v1` has the limits in `RateLimit-Policy` and the remaining quota in
`RateLimit`. A 429 says in `Retry-After` how many seconds to wait.

`HEAD` works wherever `GET` does, and `OPTIONS` lists the methods of a path. Every response has an `X-Request-ID`: the
id that you sent, if it is well-formed, or a new one. The service refuses unknown fields and query parameters, so that
misspelled names are not silently ignored.
"""
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token (a JWT from `POST /v1/auth/login`) or an API key (`ar_…`). "
        "For `/metrics` send the operator's `METRICS_TOKEN` instead.",
    }
}
ID_PARAMETER = re.compile(r"{(\w+)_id}")


def build_document(api: API) -> JSONObject:
    """Return the document. Raise ValueError if two of its parts have the same name, or a route has no contract."""
    return dict(Document(api))


class Document(OpenAPISchema):
    """ninja's document with the responses, headers and bodies of the contracts."""

    def __init__(self, api: API) -> None:
        self.api: API
        self.operation_ids: set[str] = set()
        self.tags: dict[str, str] = {}
        super().__init__(api, "")
        self["info"] |= {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
        if not api.servers:
            # A document without servers describes the server that sends it.
            del self["servers"]
        self["tags"] = [{"name": name, "description": text} for name, text in self.tags.items()]

    def get_paths(self) -> JSONObject:
        self.components = Components(self.schemas)
        paths: JSONObject = {}
        for path, operation in self.api.operations():
            if operation.include_in_schema:
                shown = "/" + ID_PARAMETER.sub("{id}", path).lstrip("/")
                described = self.operation_details(operation)
                paths.setdefault(shown, {}).update({method.lower(): described for method in operation.methods})
        for plain in PLAIN_OPERATIONS:
            paths.setdefault(plain.path, {})["get"] = self._plain_details(plain)
        return paths

    def get_components(self) -> JSONObject:
        return {
            "schemas": self.components.schemas,
            "headers": self.components.headers,
            "examples": self.components.examples,
            "securitySchemes": SECURITY_SCHEMES,
        }

    def add_schema_definitions(self, definitions: JSONObject) -> None:
        self.components.add_schemas(definitions)

    def operation_details(self, operation: Operation) -> JSONObject:
        contract: Contract | None = (operation.openapi_extra or {}).get(EXTRA)
        if contract is None:
            raise ValueError(f"{operation.view_func.__qualname__} has no contract: **documented(...) is missing")
        summary, _, description = operation.signature.docstring.partition("\n")
        parameters = self._parameters(operation, contract)
        body = describe_body(contract, self.components) or self._ninja_body(operation, contract)
        scopes = [scope for auth in operation.auth_callbacks if (scope := getattr(auth, "scope", None))]
        failures = automatic_failures(
            in_api=True,
            auth=bool(operation.auth_callbacks),
            scope=bool(scopes),
            body=body is not None,
            patch=MERGE_PATCH in contract.body_types,
            query=any(parameter["in"] == "query" for parameter in parameters),
            path=any(parameter["in"] == "path" for parameter in parameters),
        )
        details: JSONObject = {
            "operationId": self._operation_id(operation.operation_id or operation.view_func.__name__),
            "summary": summary.rstrip(".") or operation.summary,
            "description": description.strip() or None,
            "tags": self._describe_tags(operation.tags or []),
            "parameters": parameters,
            "requestBody": body,
            "responses": describe_responses(contract, failures, self.components, limited=True),
            "security": [{"bearer": scopes}] if operation.auth_callbacks else None,
            "deprecated": operation.deprecated,
        }
        return {name: value for name, value in details.items() if value is not None}

    def _describe_tags(self, tags: Sequence[str]) -> list[str]:
        """Add the descriptions of the tags, in the order of the operations, and return the names."""
        self.tags |= {str(tag): tag.description for tag in tags if isinstance(tag, Tag)}
        return [str(tag) for tag in tags]

    def _operation_id(self, name: str) -> str:
        """Return the name in camel case, such as listItems for `list_items`."""
        first, *rest = name.split("_")
        operation_id = first + "".join(part.capitalize() for part in rest)
        if operation_id in self.operation_ids:
            raise ValueError(f"two operations of the OpenAPI document are called {operation_id}")
        self.operation_ids.add(operation_id)
        return operation_id

    def _parameters(self, operation: Operation, contract: Contract) -> list[JSONObject]:
        of_view = [tidy_parameter(parameter) for parameter in self.operation_parameters(operation)]
        of_query = describe_query(contract.query, self.components) if contract.query else []
        return of_view + of_query + describe_request_headers(contract)

    def _ninja_body(self, operation: Operation, contract: Contract) -> JSONObject | None:
        body: dict[str, Any] = self.request_body(operation)
        if not body:
            return None
        (media,) = body["content"].values()
        return body | {"content": {name: with_example(media, contract) for name in contract.body_types}}

    def _plain_details(self, plain: PlainOperation) -> JSONObject:
        failures = automatic_failures(path="{" in plain.path)
        return {
            "operationId": self._operation_id(plain.operation_id),
            "summary": plain.summary,
            "description": plain.description,
            "tags": self._describe_tags([SERVICE]),
            "parameters": [*plain.parameters, *describe_request_headers(plain.contract)],
            "responses": describe_responses(plain.contract, failures, self.components, limited=False),
            **({"security": list(plain.security)} if plain.security else {}),
        }
