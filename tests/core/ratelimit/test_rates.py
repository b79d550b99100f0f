"""The format of RATE_LIMIT, RATE_LIMIT_AUTH and RATE_LIMIT_ROUTES."""

import pytest
from pytest_django import Settings

from core.ratelimit.checks import check_rate_limit_routes, unknown_routes
from core.ratelimit.rates import Rate, parse_rates, parse_route_rates


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("100/minute", [Rate(100, 60)]),
        ("1/second", [Rate(1, 1)]),
        (" 5 / hour ", [Rate(5, 3600)]),
        ("1000000000/minute", [Rate(1_000_000_000, 60)]),
        ("10/second;1000/hour; 5000/day", [Rate(10, 1), Rate(1000, 3600), Rate(5000, 86400)]),
    ],
)
def test_rates_are_parsed(text: str, rates: list[Rate]) -> None:
    assert parse_rates(text) == tuple(rates)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lots",
        "5",
        "5/",
        "/minute",
        "5/fortnight",
        "5/minutes",
        "-1/minute",
        "1.5/minute",
        "5/minute;",
        "٣/minute",
    ],
)
def test_invalid_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"second, minute, hour, day.*100/minute"):
        parse_rates(text)


@pytest.mark.parametrize("text", ["0/minute", "1000000001/day", "9" * 5000 + "/day"])
def test_quota_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 1000000000") as refusal:
        parse_rates(text)
    assert len(str(refusal.value)) < 200


def test_routes_are_distinguished_by_method_and_path() -> None:
    text = '{"POST /v1/items/": "20/minute", "GET /v1/items/{item_id}": "5/second;9/hour"}'
    assert parse_route_rates(text) == {
        ("POST", "/v1/items"): (Rate(20, 60),),
        ("GET", "/v1/items/{}"): (Rate(5, 1), Rate(9, 3600)),
    }
    assert parse_route_rates("{}") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("many", "JSON object"),
        ("[]", "JSON object"),
        ('{"POST /v1/items/": 20}', "JSON object"),
        ('{"POST /v1/items/": "many"}', "POST /v1/items/: 'many' is not a rate"),
        ('{"/v1/items/": "1/second"}', "is not a route"),
        ('{"HEAD /v1/items/": "1/second"}', "HEAD counts as GET"),
        ('{"POST /health/live": "1/second"}', "below /v1/"),
        ('{"POST /v1/it\\"ems/": "1/second"}', "is not a route"),
        ('{"POST /v1/items/": "1/second", "POST /v1/items": "1/second"}', "twice"),
        ('{"GET /v1/items/{a}": "1/second", "GET /v1/items/{b}/": "1/second"}', "twice"),
    ],
)
def test_invalid_routes_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_route_rates(text)


def test_limit_on_a_route_that_does_not_exist_is_an_error() -> None:
    limited = parse_route_rates('{"POST /v1/items/": "1/second", "GET /v1/itmes/{id}": "1/second"}')
    errors = unknown_routes(limited, [("POST", "/v1/items/"), ("GET", "/v1/items/{item_id}")])
    assert [error.id for error in errors] == ["ratelimit.E001"]
    assert "GET /v1/itmes/{}" in errors[0].msg
    assert "GET /v1/items/{}, POST /v1/items" in (errors[0].hint or "")


def test_limited_routes_must_exist_in_the_service(settings: Settings) -> None:
    settings.RATE_LIMIT_ROUTES = parse_route_rates('{"POST /v1/items/": "1/second", "GET /v1/items/{any}": "1/second"}')
    assert check_rate_limit_routes() == []
    settings.RATE_LIMIT_ROUTES = parse_route_rates('{"PUT /v1/items/": "1/second"}')
    assert [error.id for error in check_rate_limit_routes()] == ["ratelimit.E001"]
