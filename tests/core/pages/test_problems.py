"""Every problem type has an explanation, in JSON and HTML."""

import pytest

from core.http.problems import PROBLEMS, Problem, explain, explain_all
from tests.asgi_client import fetch
from tests.core.pages.pages import Page, policy

HTML = "text/html"
BY_SLUG = [pytest.param(slug, problem, id=slug) for slug, problem in PROBLEMS.items()]


@pytest.mark.parametrize(("slug", "problem"), BY_SLUG)
def test_problem_is_explained_in_json(slug: str, problem: type[Problem]) -> None:
    answer = fetch(f"/problems/{slug}", accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == explain(problem)
    assert answer.json()["type"] == f"/problems/{slug}"
    assert len(answer.json()["explanation"]) > 20


@pytest.mark.parametrize(("slug", "problem"), BY_SLUG)
def test_problem_is_explained_in_html(slug: str, problem: type[Problem]) -> None:
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


def test_json_unless_html_is_preferred() -> None:
    assert fetch("/problems/not-found").headers["content-type"] == "application/json"
    assert fetch("/problems/not-found", accept="*/*").headers["content-type"] == "application/json"


def test_index_lists_all_types() -> None:
    listed = fetch("/problems/").json()["problems"]
    assert listed == explain_all()
    assert {one["type"] for one in listed} == {f"/problems/{slug}" for slug in PROBLEMS}
    assert [one["status"] for one in listed] == sorted(one["status"] for one in listed)


def test_index_page_links_all_types() -> None:
    page = Page(fetch("/problems/", accept=HTML).text)
    assert {f"/problems/{slug}" for slug in PROBLEMS} <= set(page.links)


def test_titles_are_escaped() -> None:
    html = fetch("/problems/insufficient-scope", accept=HTML).text
    assert "key&#x27;s" in html
    assert "403 Forbidden" in html


def test_unchanged_page_is_304() -> None:
    etag = fetch("/problems/not-found").headers["etag"]
    assert fetch("/problems/not-found", if_none_match=etag).status == 304
