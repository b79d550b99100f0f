"""The router finds the same routes as Django's resolver."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import Resolver404, URLPattern, path, re_path
from django.urls.resolvers import RoutePattern, URLResolver
from hypothesis import example, given
from hypothesis import strategies as st

from agent_router.api import api
from agent_router.asgi import router
from agent_router.urls import urlpatterns
from core.http.principal import Principal
from core.http.routing import PARAMETER, Route, Router

# Valid and invalid values of a parameter.
VALUES = ["x", "0199c9f2-0000-7000-8000-000000000000", "é", "a b", "%2F", "\0", "{item_id}", "<slug>", ".", "..", "v1"]


async def view(request: Any, **params: str) -> HttpResponse:
    return HttpResponse()


def django_patterns() -> Iterator[URLPattern]:
    """Yield all paths of the service as Django patterns, /v1 and those below it with and without a trailing slash."""
    for template, _ in api.operations():
        slashless = PARAMETER.sub(r"<str:\1>", template.strip("/"))
        yield path(slashless, view, name=template)
        yield path(f"{slashless}/", view, name=template)
    for pattern in urlpatterns:
        if isinstance(pattern, URLPattern) and isinstance(pattern.pattern, RoutePattern):
            name = PARAMETER.sub(r"{\1}", f"/{pattern.pattern}")
            if "<" not in name:
                yield path(str(pattern.pattern), view, name=name)
                if name == "/v1":
                    yield path("v1/", view, name=name)


PATTERNS = list(django_patterns())
RESOLVER = URLResolver(RoutePattern(""), PATTERNS)
TEMPLATES = sorted({str(pattern.name) for pattern in PATTERNS})


def by_django(target: str) -> tuple[str, dict[str, Any]] | None:
    try:
        match = RESOLVER.resolve(target.removeprefix("/"))
    except Resolver404:
        return None
    # Both forms of a path below /v1/ belong to one route.
    return str(match.url_name).rstrip("/") or "/", match.kwargs


def by_tree(target: str) -> tuple[str, dict[str, str]] | None:
    found = router.resolve(target)
    return None if found is None else (found[0].template.rstrip("/") or "/", found[1])


def filled(template: str, value: str) -> str:
    return PARAMETER.sub(lambda _: value, template)


def test_all_paths_of_the_service_are_in_the_tree() -> None:
    assert {route.rstrip("/") for route in router.routes} == {template.rstrip("/") for template in TEMPLATES}
    assert {"/v1/items/", "/v1/items/{item_id}", "/", "/health/live", "/problems/{slug}"} <= set(router.routes)


@pytest.mark.parametrize("template", TEMPLATES)
def test_tree_finds_the_same_route_as_django(template: str) -> None:
    for value in VALUES:
        for target in (filled(template, value), filled(template, value) + "/", filled(template, value).rstrip("/")):
            if target.startswith("/"):
                assert by_tree(target) == by_django(target), target
    assert by_django(filled(template, "x")) is not None


segments = st.sampled_from(["v1", "items", "auth", "me", "health", "live", "problems", "docs", "", ".", "..", "x", "é"])


@given(st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts)))
@example("//v1/items")
@example("/v1//items")
@example("/v1/items//")
@example("/v1/items/x//")
@example("/v1/")
@example("/problems//")
def test_tree_finds_no_other_paths(target: str) -> None:
    # Django's `str` converter does not match an empty segment either.
    assert by_tree(target) == by_django(target)


@given(st.text())
@example("")
@example("*")
@example("/v1/items/" + "a" * 100_000)
@example("/" * 10_000)
@example("/V1/items/")
@example("/v1/items/\ud800")
def test_any_path_resolves_without_error(target: str) -> None:
    found = router.resolve(target)
    assert found is None or found[0].template in router.routes


@pytest.mark.parametrize(
    "target",
    ["/v1", "/v1/items", "/v1/items/", "/v1/items/x", "/v1/items/x/", "/v1/auth/me", "/v1/auth/me/"],
)
def test_trailing_slash_below_v1_makes_no_difference(target: str) -> None:
    found, other = router.resolve(target), router.resolve(target.rstrip("/") + "/")
    assert found is not None
    assert found == other


@pytest.mark.parametrize("target", ["/static/<path:path>", "/admin/", "/static/docs/docs.css", "/docs/"])
def test_other_paths_are_not_in_the_tree(target: str) -> None:
    assert router.resolve(target) is None


def key(principal: Principal, params: dict[str, str]) -> bytes | None:
    return None


def test_allow_is_sorted_and_get_also_answers_head() -> None:
    route = Route("/x")
    route.add("PUT", view)
    route.add("GET", view, key)
    assert route.allow == "GET, HEAD, OPTIONS, PUT"
    assert route.views["HEAD"] is route.views["GET"]
    assert route.prefetch_keys == {"GET": key, "HEAD": key}


def test_only_plain_paths_are_added_from_django() -> None:
    made = Router()
    patterns: list[URLPattern | URLResolver] = [
        path("plain", view),
        path("a/<name>/b", view),
        path("a/<str:name>", view),
        path("all/<path:rest>", view),
        path("number/<int:number>", view),
        path("part-<name>", view),
        re_path(r"^regular/\d+$", view),
        path("nested/", ([path("x", view)], "app", "name")),
    ]
    made.add_views(patterns)
    assert list(made.routes) == ["/plain", "/a/{name}/b", "/a/{name}"]


def test_parameter_has_one_name() -> None:
    made = Router()
    made.route("/things/{thing_id}").add("GET", view)
    made.route("/things/{thing_id}/parts/{part_id}").add("GET", view)
    with pytest.raises(ValueError, match="different names"):
        made.route("/things/{other}/more")
    found = made.resolve("/things/1/parts/2")
    assert found is not None
    assert found[1] == {"thing_id": "1", "part_id": "2"}
    assert made.route("/things/{thing_id}") is made.routes["/things/{thing_id}"]
