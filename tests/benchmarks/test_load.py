"""Results of load generators are parsed, and the generator in Python reports as wrk does."""

import json

import pytest

from benchmarks.asyncio_load import Load, result
from benchmarks.load import Outcome, parse_outcome
from benchmarks.measuring import problems_of

WRK_OUTPUT = """Running 2s test @ http://127.0.0.1:35541
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.34ms    2.15ms  27.51ms   88.52%
    Req/Sec     5.07k   430.81     5.61k    85.00%
  10101 requests in 2.00s, 9.61MB read
Requests/sec:   5046.55
Transfer/sec:      4.80MB

RESULT {"requests": 10101, "microseconds": 2001542, "p50_us": 6011, "p99_us": 14310, "errors": 0, \
"statuses": {"200": 10100, "503": 1}}
"""


def test_result_in_the_output_of_wrk() -> None:
    outcome = parse_outcome(WRK_OUTPUT, cpu_seconds=0.7)
    assert (outcome.requests, outcome.p50_ms, outcome.p99_ms) == (10101, 6.011, 14.31)
    assert outcome.statuses == {200: 10100, 503: 1}
    assert outcome.rate == pytest.approx(10101 / 2.001542)
    assert outcome.cpu_seconds == 0.7


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_output_without_a_result_is_reported(output: str) -> None:
    with pytest.raises(RuntimeError, match=output or "no output"):
        parse_outcome(output)


def test_unexpected_responses_are_problems() -> None:
    good = Outcome(requests=5, seconds=1, p50_ms=1, p99_ms=1, errors=0, statuses={200: 5})
    assert problems_of(good, frozenset({200})) == []
    bad = Outcome(requests=5, seconds=1, p50_ms=1, p99_ms=1, errors=2, statuses={200: 3, 503: 2})
    assert problems_of(bad, frozenset({200})) == ["2 responses with status 503", "2 connection errors or timeouts"]


def test_result_of_the_python_generator() -> None:
    load = Load([b"x"], number=1, limit=-1)
    for milliseconds in range(1, 101):
        load.count_response(200 if milliseconds < 100 else 404, milliseconds / 1000)
    outcome = parse_outcome(result(load, seconds=0.5))
    assert (outcome.rate, outcome.p50_ms, outcome.p99_ms) == (200, 51, 100)
    assert outcome.statuses == {200: 99, 404: 1}


def test_result_without_any_response() -> None:
    assert json.loads(result(Load([b"x"], number=1, limit=-1), seconds=1).removeprefix("RESULT "))["requests"] == 0
