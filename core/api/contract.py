"""What a route promises, as data: the words with which a resource's author describes it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from pydantic import BaseModel, ConfigDict

from core.http.problems import Problem

type JSONObject = dict[str, Any]

JSON = "application/json"
HTML = "text/html"
MERGE_PATCH = "application/merge-patch+json"
# ninja carries the contract from the route to the document under this name; it never gets into the document
# itself.
EXTRA = "contract"


class Described(BaseModel):
    """A model for the document alone, as of an answer, which views make without: it gets no validator."""

    model_config = ConfigDict(defer_build=True)


class Header(NamedTuple):
    """A header of a response."""

    name: str
    description: str
    schema: JSONObject
    example: str | int


class Failure(NamedTuple):
    """A problem that an operation can answer with; `why` and `headers` where they are the operation's own."""

    problem: type[Problem]
    why: str = ""
    headers: tuple[Header, ...] = ()


class RequestHeader(NamedTuple):
    """A header of a request, and what comes of sending it."""

    name: str
    description: str
    schema: JSONObject
    failures: tuple[Failure, ...] = ()
    success_headers: tuple[Header, ...] = ()
    not_modified: bool = False


class Success(NamedTuple):
    """A successful answer: its status, what its body looks like (neither model nor schema: no body), its
    headers.

    `also` are media types in which a client that prefers them gets the same as text.
    """

    status: int
    model: type[BaseModel] | None = None
    headers: Sequence[Header] = ()
    description: str = ""
    example: Any = None
    schema: JSONObject | None = None
    media_type: str = JSON
    also: Sequence[str] = ()


class Contract(NamedTuple):
    """All that `documented` was told."""

    success: Success
    body: type[BaseModel] | None = None
    body_types: Sequence[str] = (JSON,)
    examples: Mapping[str, Any] | None = None
    query: type[BaseModel] | None = None
    takes: Sequence[RequestHeader] = ()
    problems: Sequence[type[Problem] | Failure] = ()

    @property
    def failures(self) -> list[Failure]:
        """What the author named, and what comes with the request headers."""
        named = [told if isinstance(told, Failure) else Failure(told) for told in self.problems]
        return named + [failure for header in self.takes for failure in header.failures]


class RouteOptions(TypedDict):
    """The keywords of a route of ninja that `documented` fills in."""

    summary: str | None
    description: str | None
    openapi_extra: JSONObject


def documented(
    *,
    success: Success,
    body: type[BaseModel] | None = None,
    body_types: Sequence[str] = (JSON,),
    example: Any = None,
    examples: Mapping[str, Any] | None = None,
    query: type[BaseModel] | None = None,
    takes: Sequence[RequestHeader] = (),
    problems: Sequence[type[Problem] | Failure] = (),
    summary: str | None = None,
    description: str | None = None,
) -> RouteOptions:
    """Keywords for a route of ninja that make the document exact; nothing of it runs when a request comes in.

    `body` and `query` are for views that read the request themselves; what ninja reads it also describes.
    `example` is one request body, `examples` several by title. `takes` are request headers and bring their
    problems with them. `problems` are only those that are the operation's own: see `core.api.failures`
    for what comes by itself. Summary and description are the view's docstring, its first line and the
    rest, unless they are given.
    """
    if example is not None:
        examples = {"Example": example, **(examples or {})}
    contract = Contract(
        success=success,
        body=body,
        body_types=body_types,
        examples=examples,
        query=query,
        takes=takes,
        problems=problems,
    )
    return {"summary": summary, "description": description, "openapi_extra": {EXTRA: contract}}
