"""The NinjaAPI of this service: it parses bodies with orjson and returns errors as problems."""

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser

from core.http.json_body import parse_body
from core.http.problem_responses import problem_response
from core.http.problems import MalformedJSON, NotFound, Problem
from core.http.request import Request
from core.http.validation import validation_problem


class _JSONParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        assert isinstance(request, Request)
        return parse_body(request)


class API(NinjaAPI):
    def __init__(self, **options: Any) -> None:
        super().__init__(parser=_JSONParser(), docs_url=None, openapi_url=None, **options)

    def set_default_exception_handlers(self) -> None:
        """Return problems instead of ninja's `{"detail": …}`. The handler turns other exceptions into a 500."""
        self.add_exception_handler(Problem, _on_problem)
        self.add_exception_handler(ValidationError, _on_invalid)
        self.add_exception_handler(HttpError, _on_http_error)
        self.add_exception_handler(Http404, _on_missing)

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        """Return None: every view returns its own response, and a blank one would cost 5 µs per request."""
        return None  # type: ignore[return-value]

    def operations(self) -> Iterator[tuple[str, Operation]]:
        for router in self._get_bound_routers():
            for path, path_view in router.path_operations.items():
                for operation in path_view.operations:
                    yield f"/{router.prefix.strip('/')}/{path.lstrip('/')}", operation


def _on_problem(request: Any, problem: Any) -> HttpResponse:
    return problem_response(request, problem)


def _on_missing(request: Any, error: Any) -> HttpResponse:
    return problem_response(request, NotFound())


def _on_http_error(request: Any, error: Any) -> HttpResponse:
    # ninja wraps exceptions of the parser, so the parser's problem is the cause.
    if isinstance(error.__cause__, Problem):
        return problem_response(request, error.__cause__)
    raise error


def _on_invalid(request: Any, error: Any) -> HttpResponse:
    faults = error.errors
    if not request.body and any(fault["loc"][0] == "body" for fault in faults):
        return problem_response(request, MalformedJSON("The body is empty"))
    # ninja puts the name of the view's parameter, which no client knows, between "body" and the field.
    for fault in faults:
        if fault["loc"][0] == "body":
            fault["loc"] = ("body", *fault["loc"][2:])
    return problem_response(request, validation_problem(faults))
