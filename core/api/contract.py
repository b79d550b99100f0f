"""The contract of a route: its success, problems, headers and examples, as data for the OpenAPI document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict

from core.http.problems import Problem

type JSONObject = dict[str, Any]

JSON = "application/json"
HTML = "text/html"
MERGE_PATCH = "application/merge-patch+json"
# The key under which ninja carries the contract from the route to the document. The document does not contain it.
EXTRA = "contract"


class Described(BaseModel):
    """A model that only the document uses, such as that of a response. pydantic builds no validator for it."""

    model_config = ConfigDict(defer_build=True)


@dataclass(frozen=True, slots=True)
class Header:
    """A response header."""

    name: str
    description: str
    schema: JSONObject
    example: str | int


@dataclass(frozen=True, slots=True)
class Failure:
    """A problem that an operation can return, with the operation's own reason and headers, if it has any."""

    problem: type[Problem]
    why: str = ""
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A request header, with the problems and response headers that it can cause."""

    name: str
    description: str
    schema: JSONObject
    failures: tuple[Failure, ...] = ()
    success_headers: tuple[Header, ...] = ()
    not_modified: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """A successful response. Without a model and a schema it has no body.

    `also` lists media types that the route returns instead, as text, if the client prefers them.
    """

    status: int
    model: type[BaseModel] | None = None
    headers: Sequence[Header] = ()
    description: str = ""
    example: Any = None
    schema: JSONObject | None = None
    media_type: str = JSON
    also: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """The arguments of `documented`."""

    success: Success
    body: type[BaseModel] | None = None
    body_types: Sequence[str] = (JSON,)
    example: Any = None
    query: type[BaseModel] | None = None
    takes: Sequence[RequestHeader] = ()
    problems: Sequence[type[Problem] | Failure] = ()

    @property
    def failures(self) -> list[Failure]:
        """The operation's own problems and those of its request headers."""
        own = [problem if isinstance(problem, Failure) else Failure(problem) for problem in self.problems]
        return own + [failure for header in self.takes for failure in header.failures]


class RouteOptions(TypedDict):
    """Keyword arguments of a ninja route."""

    openapi_extra: JSONObject


def documented(
    *,
    success: Success,
    body: type[BaseModel] | None = None,
    body_types: Sequence[str] = (JSON,),
    example: Any = None,
    query: type[BaseModel] | None = None,
    takes: Sequence[RequestHeader] = (),
    problems: Sequence[type[Problem] | Failure] = (),
) -> RouteOptions:
    """Return the keyword arguments that attach a contract to a ninja route. Requests do not pay for it.

    `body` and `query` are the models of views that parse the request themselves; ninja finds the models in the
    parameters of other views. `example` is a request body, `takes` are request headers. `problems` are only the
    operation's own: `core.api.failures` adds the problems that follow from its traits.
    """
    contract = Contract(success, body, body_types, example, query, takes, problems)
    return {"openapi_extra": {EXTRA: contract}}
