"""Checks of the service's responses against its OpenAPI document."""

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

type JSONObject = dict[str, Any]

# Headers that the document must list if a response has them. Security headers are not listed.
DOCUMENTED = {
    "accept-patch",
    "allow",
    "cache-control",
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "vary",
    "www-authenticate",
    "x-request-id",
}
# Headers that only some responses with a documented status have.
OPTIONAL = {
    "idempotent-replayed",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "vary",
    "www-authenticate",
}


class OpenAPIDocument:
    """Finds the differences between responses and the document."""

    def __init__(self, document: JSONObject) -> None:
        self.document = document

    def operation(self, method: str, path: str) -> JSONObject:
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template)
            if method.lower() in item and re.fullmatch(pattern, path.partition("?")[0]):
                operation: JSONObject = item[method.lower()]
                return operation
        raise AssertionError(f"{method} {path} is not in the document")

    def faults(self, method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> list[str]:
        """List the differences from the document. Header names are lower case, the body is parsed."""
        responses = self.operation(method, path)["responses"]
        if str(status) not in responses:
            return [f"{status} is not among {sorted(responses)}"]
        response = responses[str(status)]
        promised = {name.lower() for name in response.get("headers", {})}
        found = [f"{name} is sent and not documented" for name in sorted(DOCUMENTED & set(headers) - promised)]
        found += [f"{name} is documented and not sent" for name in sorted(promised - set(headers) - OPTIONAL)]
        content = response.get("content", {})
        media_type = headers.get("content-type", "").partition(";")[0]
        if media_type not in content:
            is_bodiless = not content and not media_type
            return found if is_bodiless else [*found, f"type {media_type!r} is not among {sorted(content)}"]
        if media_type.endswith("json"):
            found += self.schema_faults(content[media_type]["schema"], body)
        return found

    def schema_faults(self, schema: JSONObject, value: Any) -> list[str]:
        """List the errors of a value against a schema of the document."""
        rooted = {"$ref": schema["$ref"]} if "$ref" in schema else schema
        whole = {**rooted, "components": self.document["components"]}
        validator = Draft202012Validator(whole, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
