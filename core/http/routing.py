"""Finding a path's view: a tree of path segments, built once.

Django tries its patterns one regular expression after the other, about 20 µs for the path of an item; the tree is
one dictionary look-up a segment. It holds the API's operations and the plain views; the admin and static files,
whose patterns it cannot hold, stay with Django's own resolver.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern
from ninja.operation import Operation

PARAMETER = re.compile(r"[<{](?:str:)?(\w+)[>}]")
View = Callable[..., Awaitable[HttpResponseBase]]


class Route:
    """A path's template, such as /v1/items/{item_id}, and the view of each method."""

    __slots__ = ("prefetches", "template", "views")

    def __init__(self, template: str) -> None:
        self.template = template
        self.views: dict[str, View] = {}
        self.prefetches: dict[str, Any] = {}

    @property
    def allow(self) -> str:
        """The value of the Allow header."""
        return ", ".join(sorted({*self.views, "OPTIONS"}))

    def add(self, method: str, view: View, prefetch: Any = None) -> None:
        """Adds a method's view; HEAD is answered by what GET does."""
        for name in ("GET", "HEAD") if method == "GET" else (method,):
            self.views[name] = view
            self.prefetches[name] = prefetch

    def prefetch(self, method: str) -> Any:
        """Return the function that names the cache entry the method's view will read, or None."""
        return self.prefetches.get(method)


class _Node:
    __slots__ = ("children", "parameter", "parameter_name", "route")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.parameter_name = ""
        self.route: Route | None = None


class Router:
    """Resolves paths to routes. Below /v1 a path is the same with and without its last slash."""

    def __init__(self) -> None:
        self._root = _Node()
        self.routes: dict[str, Route] = {}

    def add_operations(self, operations: Iterable[tuple[str, Operation]]) -> None:
        """Adds ninja's operations, each with its whole path."""
        for path, operation in operations:
            route = self.route(path)
            for method in operation.methods:
                view = cast("View", operation.run)
                route.add(method, view, getattr(operation.view_func, "prefetch", None))

    def add_views(self, patterns: Iterable[URLPattern | URLResolver]) -> None:
        """Adds the plain asynchronous views among Django's URL patterns; each answers GET.

        Patterns with a parameter that may hold more than a segment are left to Django's resolver.
        """
        for pattern in patterns:
            if not (isinstance(pattern, URLPattern) and isinstance(pattern.pattern, RoutePattern)):
                continue
            path = f"/{pattern.pattern}"
            if all("<" not in segment or PARAMETER.fullmatch(segment) for segment in _segments(path)):
                self.route(path).add("GET", pattern.callback)

    def route(self, path: str) -> Route:
        """The route of a path, new if there is none yet."""
        node = self._root
        for segment in _segments(path):
            if parameter := PARAMETER.fullmatch(segment):
                if node.parameter is None:
                    node.parameter, node.parameter_name = _Node(), parameter[1]
                elif node.parameter_name != parameter[1]:
                    raise ValueError(f"{path} and another path have different names for the same segment")
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        if node.route is None:
            node.route = Route(PARAMETER.sub(r"{\1}", path))
            self.routes[node.route.template] = node.route
        return node.route

    def resolve(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a path and the values of its parameters, or None."""
        node, params = self._root, {}
        for segment in _segments(path):
            child = node.children.get(segment)
            if child is None:
                child = node.parameter
                if child is None or not segment:
                    return None
                params[node.parameter_name] = segment
            node = child
        return None if node.route is None else (node.route, params)


def _segments(path: str) -> list[str]:
    segments = path.split("/")
    if segments[-1] == "" and len(segments) > 2 and segments[1] == "v1":
        segments.pop()
    return segments
