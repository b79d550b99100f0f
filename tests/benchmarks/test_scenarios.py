"""The benchmark's requests are valid HTTP, and differ where they must."""

from pathlib import Path

import pytest

from benchmarks.asyncio_load import Load
from benchmarks.scenarios import MARK, SCENARIOS, Target, read_requests, write_requests

TARGET = Target(port=8000, token="t", ids=["id-1", "id-2"], tags=['"1"', '"7"'], cursor="c%3D")


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_have_the_right_content_length(name: str) -> None:
    make, _ = SCENARIOS[name]
    for request in make(TARGET):
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith((b"GET /v1/items/", b"POST /v1/items/ ", b"PATCH /v1/items/id-"))
        assert (b"Content-Length: %d" % len(body) in head) if body else (b"Content-Length" not in head)


def test_each_item_is_requested_with_its_own_etag() -> None:
    requests = SCENARIOS["get_304"][0](TARGET)
    assert [b"/id-1 " in one and b'If-None-Match: "1"\r\n' in one for one in requests] == [True, False]
    assert b"/id-2 " in requests[1]
    assert b'If-None-Match: "7"\r\n' in requests[1]


def test_numbered_requests_differ_and_keep_their_length() -> None:
    for name in ("create_idem", "update"):
        requests = SCENARIOS[name][0](TARGET)
        load = Load(requests, number=1_763_900_000_000_000, limit=-1)
        sent = [load.next_request() for _ in range(50)]
        assert len(set(sent)) == 50
        assert {len(one) for one in sent} == {len(requests[0])}
        assert MARK.encode() not in b"".join(sent)


def test_mixed_scenario_has_its_shares() -> None:
    requests = SCENARIOS["mixed"][0](TARGET)
    assert len(requests) == 1000
    assert sum(one.startswith(b"GET /v1/items/id-") for one in requests) == 800
    assert sum(one.startswith(b"POST") for one in requests) == 80
    assert sum(one.startswith(b"PATCH") for one in requests) == 20


def test_file_of_requests_round_trip(tmp_path: Path) -> None:
    requests = [b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n12\n34\n", b"x"]
    write_requests(tmp_path / "requests", requests)
    assert read_requests(tmp_path / "requests") == requests
