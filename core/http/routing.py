"""Routing: a tree of path segments, with one dictionary look-up for each segment.

Django's own, slower resolver keeps the admin and the static files (docs/decisions/0001-lean-handler.md).
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern
from ninja.operation import Operation

from core.http.paths import API_PREFIX
from core.http.prefetch import KeyFunction, key_function_of

PARAMETER = re.compile(r"[<{](?:str:)?(\w+)[>}]")
View = Callable[..., Awaitable[HttpResponseBase]]


@dataclass
class Route:
    """A path template, such as /v1/items/{item_id}, with the view of each method and its prefetch key function."""

    template: str
    views: dict[str, View] = field(default_factory=dict)
    prefetch_keys: dict[str, KeyFunction] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        return ", ".join(sorted({*self.views, "OPTIONS"}))

    def add(self, method: str, view: View, prefetch_key: KeyFunction | None = None) -> None:
        """Add a method's view. The view of GET also answers HEAD."""
        for name in ("GET", "HEAD") if method == "GET" else (method,):
            self.views[name] = view
            if prefetch_key is not None:
                self.prefetch_keys[name] = prefetch_key


@dataclass
class _Node:
    children: "dict[str, _Node]" = field(default_factory=dict)
    parameter: "_Node | None" = None
    parameter_name: str = ""
    route: Route | None = None


class Router:
    """Resolves paths to routes. Below /v1/ a trailing slash makes no difference."""

    def __init__(self) -> None:
        self._root = _Node()
        self.routes: dict[str, Route] = {}

    def add_operations(self, operations: Iterable[tuple[str, Operation]]) -> None:
        for path, operation in operations:
            route = self.route(path)
            for method in operation.methods:
                route.add(method, cast("View", operation.run), key_function_of(operation.view_func))

    def add_views(self, patterns: Iterable[URLPattern | URLResolver]) -> None:
        """Add Django's URL patterns with an asynchronous view for GET, except patterns that the tree cannot hold."""
        for pattern in patterns:
            if not (isinstance(pattern, URLPattern) and isinstance(pattern.pattern, RoutePattern)):
                continue
            path = f"/{pattern.pattern}"
            if all("<" not in segment or PARAMETER.fullmatch(segment) for segment in _segments(path)):
                self.route(path).add("GET", pattern.callback)

    def route(self, path: str) -> Route:
        """Return the route of a path, and create it if it does not exist."""
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
    if path.endswith("/") and path.startswith(API_PREFIX):
        segments.pop()
    return segments
