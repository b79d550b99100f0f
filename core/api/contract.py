"""The contract of a route: its success, problems, headers and examples, as data for the OpenAPI document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    name: str
    description: str
    schema: JSONObject
    example: str | int


@dataclass(frozen=True, slots=True)
class Failure:
    """A problem that an operation can return, with the operation's own reason and headers."""

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
    """A successful response. `also` lists media types that the route returns as text if the client prefers them."""

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
    success: Success
    body: type[BaseModel] | None = None
    body_types: Sequence[str] = (JSON,)
    example: Any = None
    query: type[BaseModel] | None = None
    takes: Sequence[RequestHeader] = ()
    problems: Sequence[type[Problem] | Failure] = ()

    @property
    def failures(self) -> list[Failure]:
        own = [problem if isinstance(problem, Failure) else Failure(problem) for problem in self.problems]
        return own + [failure for header in self.takes for failure in header.failures]


class Tag(str):
    """The name of a group of operations, with its description for the document."""

    __slots__ = ("description",)

    description: str


def tag(name: str, description: str) -> Tag:
    """Return a tag for `Router(tags=[...])`. The document describes the tag if one of its operations has it."""
    described = Tag(name)
    described.description = description
    return described


def documented(
    *,
    success: Success,
    body: type[BaseModel] | None = None,
    body_types: Sequence[str] = (JSON,),
    example: Any = None,
    query: type[BaseModel] | None = None,
    takes: Sequence[RequestHeader] = (),
    problems: Sequence[type[Problem] | Failure] = (),
) -> dict[str, Any]:
    """Return the keyword arguments that attach a contract to a ninja route.

    `body` and `query` are the models of views that parse the request themselves. `example` is a request body,
    `takes` are request headers. `core.api.failures` adds the problems that follow from the operation's traits.
    """
    contract = Contract(success, body, body_types, example, query, takes, problems)
    return {"openapi_extra": {EXTRA: contract}}
