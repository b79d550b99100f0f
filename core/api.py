"""The NinjaAPI of this service: bodies by orjson, errors as problems, no work that its views do not need."""

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation
from ninja.params.models import BodyModel, PathModel
from ninja.parser import Parser
from pydantic import ValidationError as PydanticError

from core.errors import FieldError, MalformedJSON, NotFound, Problem, ValidationFailed, json_pointer, problem_response
from core.parsing import parse_body
from core.request import Request

# ninja makes a model of the parameters of each operation: its validator is made with the first request that has them.
for _model in (BodyModel, PathModel):
    _model.model_config["defer_build"] = True


class _JSONParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        assert isinstance(request, Request)
        return parse_body(request)


class API(NinjaAPI):
    """Mounts routers; every error of an operation leaves it as a problem."""

    def __init__(self, **options: Any) -> None:
        super().__init__(parser=_JSONParser(), docs_url=None, openapi_url=None, **options)

    def set_default_exception_handlers(self) -> None:
        """Problems in place of ninja's own `{"detail": …}`. What is not caught here is the handler's: a 500."""
        self.add_exception_handler(Problem, _on_problem)
        self.add_exception_handler(ValidationError, _on_invalid)
        self.add_exception_handler(HttpError, _on_http_error)
        self.add_exception_handler(Http404, _on_missing)

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        """None: the views return whole responses, and ninja's blank one would cost 5 µs a request."""
        return None  # type: ignore[return-value]

    def operations(self) -> Iterator[tuple[str, Operation]]:
        """Every operation with its whole path below the API's mount point."""
        for router in self._get_bound_routers():
            for path, path_view in router.path_operations.items():
                for operation in path_view.operations:
                    yield f"/{router.prefix.strip('/')}/{path.lstrip('/')}", operation


def _on_problem(request: Any, problem: Any) -> HttpResponse:
    return problem_response(request, problem)


def _on_missing(request: Any, error: Any) -> HttpResponse:
    return problem_response(request, NotFound())


def _on_http_error(request: Any, error: Any) -> HttpResponse:
    # ninja wraps whatever the parser raises; the parser's own problem is the cause.
    if isinstance(error.__cause__, Problem):
        return problem_response(request, error.__cause__)
    raise error


def _on_invalid(request: Any, error: Any) -> HttpResponse:
    faults = error.errors
    if not request.body and any(fault["loc"][0] == "body" for fault in faults):
        return problem_response(request, MalformedJSON("The body is empty"))
    # ninja puts the name of the view's parameter between "body" and the field; a client does not know it.
    for fault in faults:
        if fault["loc"][0] == "body":
            fault["loc"] = ("body", *fault["loc"][2:])
    return problem_response(request, validation_problem(faults))


def validation_problem(faults: list[dict[str, Any]]) -> ValidationFailed:
    """pydantic's faults, each located as ninja or pydantic does, as one problem."""
    errors = [_field_error(fault) for fault in faults]
    count = len(errors)
    return ValidationFailed(
        f"{count} field{'' if count == 1 else 's'} {'is' if count == 1 else 'are'} not valid", errors=errors
    )


def invalid(error: PydanticError) -> ValidationFailed:
    """The problem for a model that was validated by hand; its fields are the body's."""
    return validation_problem([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)])


def _field_error(fault: dict[str, Any]) -> FieldError:
    source, *path = fault["loc"]
    detail, code = describe(fault), str(fault["type"])
    if source == "query":
        return {"parameter": str(path[-1]) if path else "", "detail": detail, "code": code}
    return {"pointer": json_pointer(path), "detail": detail, "code": code}


MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field that can be set here",
    "string_type": "must be a string",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "string_too_long": "must be at most {max_length} characters",
    "string_too_short": "must be at least {min_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "timezone_aware": "must have an offset, such as Z",
}


def describe(fault: dict[str, Any]) -> str:
    """What is wrong, said to the client; never with the value itself, which may be a secret."""
    if template := MESSAGES.get(fault["type"]):
        return template.format_map(fault.get("ctx") or {})
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
