"""Items over HTTP: create, read, replace, patch, delete, and the errors of each."""

import json
import re
from contextlib import closing
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.resources.test_merge_patch import CASES
from tests.items.http import ITEMS, UNKNOWN, check_problem, create, patch, path_of, post_text, validation_errors
from tests.running_service import RunningService

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\u00e9", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def with_metadata(text: str) -> str:
    """Return the request body of a new item with this metadata."""
    return '{"name": "n", "metadata": ' + text + "}"


def test_post_creates_an_item_with_defaults(me: httpx.Client) -> None:
    response = me.post(ITEMS, json={"name": " new\n"})
    item = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == path_of(item)
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in response.headers["vary"]
    assert UUID7.fullmatch(item["id"])
    assert INSTANT.fullmatch(item["created_at"])
    assert item == {
        "id": item["id"],
        "name": "new",
        "description": "",
        "status": "active",
        "metadata": {},
        "owner_id": me.get("/v1/auth/me").json()["id"],
        "version": 1,
        "created_at": item["created_at"],
        "updated_at": item["created_at"],
    }
    read = me.get(path_of(item))
    assert (read.status_code, read.content, read.headers["etag"]) == (200, response.content, '"1"')


def test_several_accept_headers_are_combined(me: httpx.Client) -> None:
    spread = [("Accept", "application/json"), ("Accept", "text/html")]
    assert me.get(ITEMS, headers=spread).status_code == 200
    check_problem(me.get(ITEMS, headers=[("Accept", "text/html"), ("Accept", "text/plain")]), 406, "not-acceptable")


def test_head_returns_the_headers_of_get_without_a_body(me: httpx.Client) -> None:
    item = create(me)
    head, get = me.head(path_of(item)), me.get(path_of(item))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadata=st.dictionaries(st.text("abc \u00e9\U0001f98a", max_size=4), JSON, max_size=4))
def test_metadata_is_returned_exactly_as_sent(me: httpx.Client, metadata: dict[str, Any]) -> None:
    sent = json.dumps({"name": "n", "metadata": metadata})
    created = post_text(me, sent)
    assert created.status_code == 201, created.text
    for response in (created, me.get(created.headers["location"])):
        # repr distinguishes 1, 1.0 and True, and 0.0 from -0.0. It also keeps the order of keys.
        assert repr(json.loads(response.content)["metadata"]) == repr(json.loads(sent)["metadata"])


@pytest.mark.parametrize("number", ["9007199254740993", "-9223372036854775808", "18446744073709551615", "-0"])
def test_integers_of_64_bits_are_exact(me: httpx.Client, number: str) -> None:
    created = post_text(me, with_metadata(f'{{"v": [{number}]}}'))
    assert me.get(created.headers["location"]).json()["metadata"]["v"] == [int(number)]


@pytest.mark.parametrize("number", ["0.1", "1e300", "5e-324", "-0.0", "1.7976931348623157e308", "1e-400", "1E5", "1.0"])
def test_doubles_are_exact(me: httpx.Client, number: str) -> None:
    created = post_text(me, with_metadata(f'{{"v": [{number}]}}'))
    assert repr(me.get(created.headers["location"]).json()["metadata"]["v"]) == repr([float(number)])


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 5000])
def test_integers_beyond_64_bits_are_422(me: httpx.Client, number: str) -> None:
    response = post_text(me, with_metadata(f'{{"a": [0, {{"b/c": {number}}}]}}'))
    assert validation_errors(response) == {("#/metadata/a/1/b~1c", "integer_too_large")}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "[1,]", "01", "'a'", "\\u0041"])
def test_invalid_json_is_400(me: httpx.Client, value: str) -> None:
    check_problem(post_text(me, with_metadata(f'{{"v": {value}}}')), 400, "malformed-json")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00x", "\\udc00\\ud800"])
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"name": "%s"}', "#/name"),
        ('{"name": "n", "description": "%s"}', "#/description"),
        ('{"name": "n", "metadata": {"a": ["%s"]}}', "#/metadata/a/0"),
        ('{"name": "n", "metadata": {"%s": 1}}', "#/metadata"),
    ],
)
def test_nul_and_unpaired_surrogates_are_422(me: httpx.Client, text: str, body: str, place: str) -> None:
    assert {where for where, _ in validation_errors(post_text(me, body % text))} == {place}


def test_last_of_duplicate_keys_wins(me: httpx.Client) -> None:
    created = post_text(me, '{"name": "a", "metadata": {"k": 1, "k": 2}, "name": "b"}').json()
    assert (created["name"], created["metadata"]) == ("b", {"k": 2})


def test_every_validation_error_has_its_pointer(me: httpx.Client) -> None:
    response = me.post(ITEMS, json={"description": 5, "status": "x", "metadata": [], "version": 9})
    assert validation_errors(response) == {
        ("#/name", "missing"),
        ("#/description", "string_type"),
        ("#/status", "literal_error"),
        ("#/metadata", "dict_type"),
        ("#/version", "extra_forbidden"),
    }


@pytest.mark.parametrize(
    ("body", "content_type", "status", "slug"),
    [
        ("", "application/json", 400, "malformed-json"),
        ('{"name": ', "application/json", 400, "malformed-json"),
        ("\ufeff{}", "application/json", 400, "malformed-json"),
        ("[" * 100_000, "application/json", 400, "malformed-json"),
        ("[]", "application/json", 422, "validation-error"),
        ("null", "application/json", 422, "validation-error"),
        ("name=a", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        ('{"name": "a"}', "text/plain", 415, "unsupported-media-type"),
        ('{"name": "a"}', "application/merge-patch+json", 415, "unsupported-media-type"),
    ],
)
def test_body_that_is_not_an_item_is_refused(
    me: httpx.Client, body: str, content_type: str, status: int, slug: str
) -> None:
    check_problem(me.post(ITEMS, content=body, headers={"Content-Type": content_type}), status, slug)


def test_put_resets_omitted_fields(me: httpx.Client) -> None:
    old = create(me, description="d", status="draft", metadata={"k": 1})
    response = me.put(path_of(old), json={"name": "new"})
    new = response.json()
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    changed = {"name": "new", "description": "", "status": "active", "metadata": {}, "version": 2}
    assert new == {**old, **changed, "updated_at": new["updated_at"]}
    assert new["updated_at"] > old["updated_at"]
    assert me.get(path_of(old)).json() == new


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/json; charset=utf-8"])
def test_patch_changes_only_the_named_fields(me: httpx.Client, content_type: str) -> None:
    old = create(me, description="d", status="draft", metadata={"a": 1, "b": {"c": 2}})
    change = {"status": None, "metadata": {"a": None, "b": {"d": 3}}}
    response = me.patch(path_of(old), content=json.dumps(change), headers={"Content-Type": content_type})
    new = response.json()
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    changed = {"status": "active", "metadata": {"b": {"c": 2, "d": 3}}, "version": 2}
    assert new == {**old, **changed, "updated_at": new["updated_at"]}


@pytest.mark.parametrize(("target", "change", "result"), [case for case in CASES if isinstance(case[0], dict)])
def test_patch_of_metadata_follows_the_rfc_examples(me: httpx.Client, target: Any, change: Any, result: Any) -> None:
    item = create(me, metadata=target)
    response = patch(me, item, {"metadata": change})
    if change is None:
        result = {}  # null restores the default of metadata
    if isinstance(result, dict):
        assert response.json()["metadata"] == result
    else:
        assert validation_errors(response) == {("#/metadata", "dict_type")}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": None}, ("#/name", "missing")),
        ({"name": ""}, ("#/name", "string_too_short")),
        ({"id": None}, ("#/id", "extra_forbidden")),
        ({"version": 7}, ("#/version", "extra_forbidden")),
        ("text", ("#", "dict_type")),
        ([], ("#", "dict_type")),
        ({"metadata": {"a" * 9000: 1, "b": "x" * 9000}}, ("#/metadata", "metadata_too_large")),
    ],
)
def test_refused_patch_changes_nothing(me: httpx.Client, change: Any, error: tuple[str, str]) -> None:
    item = create(me)
    assert validation_errors(patch(me, item, change)) == {error}
    assert me.get(path_of(item)).json() == item


def test_patch_cannot_make_metadata_too_large_or_too_deep(me: httpx.Client) -> None:
    deep: Any = {}
    for _ in range(14):
        deep = {"k": deep}
    item = create(me, metadata={"text": "x" * 10_000, "deep": deep})
    assert validation_errors(patch(me, item, {"metadata": {"more": "x" * 7_000}})) == {
        ("#/metadata", "metadata_too_large")
    }
    deeper: Any = {"end": {}}
    for _ in range(14):
        deeper = {"k": deeper}
    assert validation_errors(patch(me, item, {"metadata": {"deep": deeper}})) == {("#/metadata", "metadata_too_deep")}
    abyss = '{"a":' * 900 + "null" + "}" * 900
    content = '{"metadata":' + abyss + "}"
    response = me.patch(path_of(item), content=content, headers={"Content-Type": "application/json"})
    assert validation_errors(response) == {("#/metadata", "metadata_too_deep")}


@pytest.mark.parametrize("change", [{}, {"name": "an item"}, {"metadata": {"b": 1.0, "a": 1}}, {"metadata": {}}])
def test_change_without_effect_keeps_the_version(me: httpx.Client, change: Any) -> None:
    item = create(me, metadata={"a": 1, "b": 1.0})
    response = patch(me, item, change)
    assert (response.status_code, response.headers["etag"]) == (200, '"1"')
    assert response.json() == {
        **item,
        "updated_at": response.json()["updated_at"],
        "metadata": response.json()["metadata"],
    }
    assert response.json()["metadata"] == item["metadata"]
    whole = {name: item[name] for name in ("name", "description", "status", "metadata")}
    assert me.put(path_of(item), json=whole).json()["version"] == 1
    assert patch(me, item, {"metadata": {"a": 1.0}}).json()["version"] == 2, "1.0 differs from 1"


def test_deleted_item_is_404(me: httpx.Client) -> None:
    path = path_of(create(me))
    response = me.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    for method in ("GET", "HEAD", "DELETE"):
        assert me.request(method, path).status_code == 404
    check_problem(me.delete(path), 404, "not-found")
    check_problem(me.put(path, json={"name": "x"}), 404, "not-found")
    check_problem(me.patch(path, json={"name": "x"}), 404, "not-found")


def test_item_of_another_user_is_404(service: RunningService, me: httpx.Client) -> None:
    path = path_of(create(me, name="mine"))
    with closing(service.user()) as other:
        expected = other.get(UNKNOWN).json()
        for method, body in (("GET", None), ("PUT", {"name": "x"}), ("PATCH", {"name": "x"}), ("DELETE", None)):
            found = check_problem(other.request(method, path, json=body), 404, "not-found")
            assert found == {**expected, "instance": path, "request_id": found["request_id"]}
        assert other.get(ITEMS).json()["items"] == []
    with closing(service.staff()) as staff:
        assert staff.patch(path, json={"description": "by staff"}).json()["version"] == 2
        assert me.get(path).json()["description"] == "by staff"
        assert staff.delete(path).status_code == 204


@pytest.mark.parametrize("item_id", ["x", "1", "%00", "01980d2e7c1a7f3e9c552b6f0d7e4a10", "...", "%C3%A9", "a" * 500])
def test_malformed_id_is_404(me: httpx.Client, item_id: str) -> None:
    for method in ("GET", "DELETE"):
        check_problem(me.request(method, f"{ITEMS}{item_id}"), 404, "not-found")
    check_problem(me.patch(f"{ITEMS}{item_id}", json={"name": "x"}), 404, "not-found")


def test_trailing_slash_is_optional(me: httpx.Client) -> None:
    item = me.post("/v1/items", json={"name": "x"}).json()
    for path in (path_of(item), path_of(item) + "/", path_of(item).replace(item["id"], item["id"].upper())):
        assert me.get(path).json() == item
    assert me.get("/v1/items").json() == me.get(ITEMS).json()
    assert me.patch(path_of(item) + "/", json={"name": "y"}).json()["version"] == 2
    assert me.delete(path_of(item) + "/").status_code == 204


def test_wrong_method_is_405_with_allow(me: httpx.Client) -> None:
    response = me.delete(ITEMS)
    check_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert me.options(UNKNOWN).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


def test_request_without_credentials_is_401(anonymous: httpx.Client) -> None:
    for method, path in (("GET", ITEMS), ("POST", ITEMS), ("GET", UNKNOWN), ("PUT", UNKNOWN), ("DELETE", UNKNOWN)):
        response = anonymous.request(method, path, json={"name": "x"} if method in ("POST", "PUT") else None)
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_api_key_is_limited_to_its_scopes(service: RunningService, me: httpx.Client) -> None:
    path = path_of(create(me))
    for scope, allowed, refused in (("items:read", ("GET", 200), "DELETE"), ("items:write", ("DELETE", 204), "GET")):
        created = me.post("/v1/auth/api-keys", json={"name": "k", "scopes": [scope]}).json()
        with service.client(headers={"Authorization": f"Bearer {created['key']}"}) as client:
            check_problem(client.request(refused, path), 403, "insufficient-scope")
            assert client.request(allowed[0], path).status_code == allowed[1]
