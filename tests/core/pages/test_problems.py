"""Every problem type explains itself, to people and to programs."""

import pytest

from core.http.problems import PROBLEMS, Problem, explain, explain_all
from tests.asgi_client import fetch
from tests.core.pages.pages import Page, policy

HTML = "text/html"
BY_SLUG = [pytest.param(slug, problem, id=slug) for slug, problem in PROBLEMS.items()]


@pytest.mark.parametrize(("slug", "problem"), BY_SLUG)
def test_problem_explains_itself_as_json(slug: str, problem: type[Problem]) -> None:
    answer = fetch(f"/problems/{slug}", accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == explain(problem)
    assert answer.json()["type"] == f"/problems/{slug}"
    assert len(answer.json()["explanation"]) > 20


@pytest.mark.parametrize(("slug", "problem"), BY_SLUG)
def test_problem_explains_itself_as_a_page(slug: str, problem: type[Problem]) -> None:
    answer = fetch(f"/problems/{slug}", accept=HTML)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert str(problem.status) in answer.text
    page = Page(answer.text)
    assert not page.inline
    assert page.loads
    assert [fetch(url).status for url in page.loads] == [200] * len(page.loads)
    assert policy(answer.headers["content-security-policy"])["style-src"] == ["'self'"]


@pytest.mark.parametrize("accept", [HTML, "application/json"])
@pytest.mark.parametrize("slug", ["nope", "Not-Found", "not-found%00", "..", "<script>"])
def test_unknown_problem_is_a_404_problem(slug: str, accept: str) -> None:
    answer = fetch(f"/problems/{slug}", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["type"] == "/problems/not-found"


def test_without_a_preference_it_is_json() -> None:
    assert fetch("/problems/not-found").headers["content-type"] == "application/json"
    assert fetch("/problems/not-found", accept="*/*").headers["content-type"] == "application/json"


def test_index_lists_all() -> None:
    told = fetch("/problems/").json()["problems"]
    assert told == explain_all()
    assert {one["type"] for one in told} == {f"/problems/{slug}" for slug in PROBLEMS}
    assert [one["status"] for one in told] == sorted(one["status"] for one in told)


def test_index_page_links_all() -> None:
    page = Page(fetch("/problems/", accept=HTML).text)
    assert {f"/problems/{slug}" for slug in PROBLEMS} <= set(page.links)


def test_titles_are_escaped_and_read_well() -> None:
    html = fetch("/problems/insufficient-scope", accept=HTML).text
    assert "key&#x27;s" in html
    assert "403 Forbidden" in html


def test_same_bytes_are_not_sent_twice() -> None:
    etag = fetch("/problems/not-found").headers["etag"]
    assert fetch("/problems/not-found", if_none_match=etag).status == 304
