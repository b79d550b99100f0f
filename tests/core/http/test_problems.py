"""Problems: one shape for every error (RFC 9457)."""

from http import HTTPStatus

import orjson
import pytest

from core.http import problems
from core.http.problem_responses import BY_STATUS, problem_response
from core.http.problems import (
    MAX_ERRORS,
    MAX_POINTER_CHARS,
    PROBLEMS,
    Conflict,
    FieldError,
    Problem,
    ServiceUnavailable,
    json_pointer,
)
from core.http.request import Request


def request(path: str = "/v1/x") -> Request:
    made = Request({"method": "GET", "path": path, "headers": []}, {}, b"")
    made.request_id = "an-id"
    return made


def test_problem_has_the_members_of_rfc_9457() -> None:
    problem = Conflict(
        "it is taken", headers={"X-More": "1"}, errors=[{"pointer": "#/a", "detail": "no", "code": "c"}], n=5
    )
    response = problem_response(request(), problem)
    assert (response.status_code, response["Content-Type"], response["X-More"]) == (
        409,
        "application/problem+json",
        "1",
    )
    assert orjson.loads(response.content) == {
        "type": "/problems/conflict",
        "title": "The request conflicts with the current state",
        "status": 409,
        "detail": "it is taken",
        "instance": "/v1/x",
        "request_id": "an-id",
        "n": 5,
        "errors": [{"pointer": "#/a", "detail": "no", "code": "c"}],
    }


def test_detail_defaults_to_the_title() -> None:
    body = orjson.loads(problem_response(request(), Conflict()).content)
    assert body["detail"] == body["title"]
    assert "errors" not in body


def test_list_of_errors_is_bounded() -> None:
    many: list[FieldError] = [{"parameter": str(number), "detail": "no", "code": "c"} for number in range(500)]
    assert Conflict(errors=many).errors == many[:MAX_ERRORS]
    assert Conflict(errors=iter(many)).errors == many[:MAX_ERRORS]


def test_service_unavailable_has_retry_after() -> None:
    assert ServiceUnavailable().headers == {"Retry-After": "1"}
    problem = ServiceUnavailable("busy", retry_after_seconds=7, checks={"a": "down"})
    assert (problem.headers, problem.extensions) == ({"Retry-After": "7"}, {"checks": {"a": "down"}})


def test_problems_do_not_share_headers() -> None:
    headers = {"X": "1"}
    problem = Conflict(headers=headers)
    problem.headers["Y"] = "2"
    assert headers == {"X": "1"}
    assert Conflict().headers == {}


@pytest.mark.parametrize("slug", list(PROBLEMS))
def test_each_problem_has_a_title_and_an_explanation(slug: str) -> None:
    problem = PROBLEMS[slug]
    assert slug == problem.slug == slug.lower()
    assert HTTPStatus(problem.status).is_client_error or HTTPStatus(problem.status).is_server_error
    assert problem.explanation.endswith(".")
    assert not problem.title.endswith(".")
    assert problem_response(request(), problem()).status_code == problem.status


def test_each_problem_is_registered_by_its_slug() -> None:
    kinds = {kind for kind in vars(problems).values() if isinstance(kind, type) and issubclass(kind, Problem)}
    assert kinds - {Problem} == set(PROBLEMS.values())
    assert set(Problem.__subclasses__()) <= kinds


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (400, "malformed-request"),
        (403, "forbidden"),
        (409, "conflict"),
        (422, "validation-error"),
        (429, "too-many-requests"),
    ],
)
def test_bare_status_maps_to_the_general_problem(status: int, slug: str) -> None:
    assert BY_STATUS[status].slug == slug


def test_pointer_is_escaped() -> None:
    assert json_pointer([]) == "#"
    assert json_pointer(["a/b", 0, "~"]) == "#/a~1b/0/~0"


def test_long_pointer_is_cut() -> None:
    assert json_pointer(["a", "b" * MAX_POINTER_CHARS, "c"]) == "#/a"
    assert len(json_pointer(["a"] * 10_000)) <= MAX_POINTER_CHARS


def test_problem_must_not_be_stored() -> None:
    assert problem_response(request(), Conflict())["Cache-Control"] == "no-store"
