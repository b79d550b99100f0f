"""`manage.py startresource`: a resource with one command, a field with five edits."""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.management.scaffold import Names, ScaffoldError, names_of
from tests.resource_project import copy_project, edit, run_in
from tests.running_service import RunningService
from tests.staff_browser import Browser


@pytest.mark.parametrize(
    ("name", "singular", "expected"),
    [
        ("orders", "", Names("orders", "order")),
        ("order", "", Names("orders", "order")),
        ("categories", "", Names("categories", "category")),
        ("category", "", Names("categories", "category")),
        ("keys", "", Names("keys", "key")),
        ("key", "", Names("keys", "key")),
        ("boxes", "", Names("boxes", "box")),
        ("class_passes", "", Names("class_passes", "class_pass")),
        ("purchase_orders", "", Names("purchase_orders", "purchase_order")),
        ("people", "person", Names("people", "person")),
    ],
)
def test_names_are_guessed_from_one_form(name: str, singular: str, expected: Names) -> None:
    assert names_of(name, singular=singular) == expected


@pytest.mark.parametrize("name", ["items", "item", "types", "Orders", "2fast", "a-b", "", "..", "s", "classes/../x"])
def test_names_that_cannot_be_a_new_package_are_refused(name: str) -> None:
    with pytest.raises(ScaffoldError):
        names_of(name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with three more resources: an SQL keyword, an irregular plural and a name of two words."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    for name in ("order", "categories", "purchase_orders"):
        output = run_in(project, "manage.py", "startresource", name).stdout
        assert "mounted /v1/" in output
    return project


@pytest.fixture(scope="module")
def shop(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    shop = RunningService(tmp_path_factory.mktemp("service"))
    shop.project = project
    with shop:
        yield shop


@pytest.fixture
def client(shop: RunningService) -> Iterator[httpx.Client]:
    with closing(shop.user()) as client:
        yield client


def test_resource_that_exists_is_refused(project: Path) -> None:
    refused = run_in(project, "manage.py", "startresource", "orders", check=False)
    assert refused.returncode == 1
    assert "taken" in refused.stderr


def test_new_resources_pass_the_linter_and_the_import_contracts(project: Path) -> None:
    run_in(project, "-m", "ruff", "check", ".")
    run_in(project, "-m", "ruff", "format", "--check", ".")
    run_in(project, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-logo")
    assert "No changes" in run_in(project, "manage.py", "makemigrations", "--check", "--dry-run").stdout


@pytest.mark.slow
def test_new_resources_pass_the_type_checker(project: Path) -> None:
    run_in(project, "-m", "mypy", "orders", "categories", "purchase_orders")


# Each of these tests a different part of a resource under a different awkward name.
SHORT_FORM = ("orders/test_api_changes.py", "categories/test_schemas.py", "purchase_orders/test_admin.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "tests",
    [
        SHORT_FORM,
        pytest.param(("orders", "categories", "purchase_orders"), marks=[pytest.mark.fault, pytest.mark.timeout(900)]),
    ],
    ids=["a part", "all"],
)
def test_new_resources_pass_their_own_tests(project: Path, tests: tuple[str, ...]) -> None:
    run_in(project, "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *(f"tests/{name}" for name in tests))


def test_new_resource_behaves_like_items(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    created = client.post("/v1/orders/", json={"name": "Chairs", "metadata": {"n": 4}}, headers=key)
    assert created.status_code == 201, created.text
    again = client.post("/v1/orders/", json={"name": "Chairs", "metadata": {"n": 4}}, headers=key)
    assert again.json() == created.json()
    path = created.headers["Location"]
    assert path == f"/v1/orders/{created.json()['id']}"
    changed = client.patch(path, json={"metadata": {"n": 5}}, headers={"If-Match": created.headers["ETag"]})
    assert changed.json()["metadata"] == {"n": 5}
    assert client.get(path).json() == changed.json()
    found = client.get("/v1/orders/", params={"q": "CHAIR", "sort": "name", "total": "true"}).json()
    assert (found["orders"], found["total"]) == ([changed.json()], 1)
    assert client.get("/v1/items/").json()["items"] == []
    assert client.get("/v1/categories/").json() == {"categories": [], "next_cursor": None}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_key_for_the_new_resource_cannot_read_items(shop: RunningService, client: httpx.Client) -> None:
    created = client.post("/v1/auth/api-keys", json={"name": "reader", "scopes": ["orders:read"]})
    assert created.status_code == 201, created.text
    with httpx.Client(base_url=shop.url, headers={"Authorization": f"Bearer {created.json()['key']}"}) as agent:
        assert agent.get("/v1/orders/").status_code == 200
        assert agent.get("/v1/items/").status_code == 403


def test_new_resource_is_in_the_document_and_in_the_admin(shop: RunningService, client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/orders/", "/v1/orders/{id}", "/v1/items/"} <= document["paths"].keys()
    scopes = document["components"]["schemas"]["APIKeyIn"]["properties"]["scopes"]["items"]["enum"]
    assert {"items:read", "orders:read", "orders:write", "categories:write"} <= set(scopes)
    created = client.post("/v1/orders/", json={"name": "Table"}).json()
    with Browser(shop) as browser:
        browser.log_in()
        assert "Table" in browser.get("/admin/orders/order/")
        browser.change(f"/admin/orders/order/{created['id']}/change/", name="Desk")
    assert client.get(f"/v1/orders/{created['id']}").json()["name"] == "Desk"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A resource with two more fields. Each edit is one that CONTRIBUTING lists; the fifth is this test."""
    project = copy_project(tmp_path_factory.mktemp("extended"))
    run_in(project, "manage.py", "startresource", "orders")
    edit(  # 1. the model
        project / "orders/models.py",
        "    metadata = JSONTextField(default=dict, blank=True)\n",
        "    metadata = JSONTextField(default=dict, blank=True)\n"
        '    customer = models.CharField(max_length=50, default="", blank=True)\n'
        "    lines = JSONTextField(default=list, blank=True)\n",
    )
    run_in(project, "manage.py", "makemigrations", "orders")  # 2. the migration
    edit(  # 3. the schema
        project / "orders/schemas.py",
        "    metadata: Metadata = Field(default_factory=dict)\n",
        "    metadata: Metadata = Field(default_factory=dict)\n"
        '    customer: Annotated[str, StringConstraints(max_length=50)] = ""\n'
        "    lines: list[str] = Field(default_factory=list, max_length=10)\n",
    )
    edit(  # 4. the example
        project / "orders/examples.py",
        '    "metadata": {"team": "research"},\n    "owner_id"',
        '    "metadata": {"team": "research"},\n    "customer": "Ada",\n    "lines": ["pen"],\n    "owner_id"',
    )
    shop = RunningService(tmp_path_factory.mktemp("service"))
    shop.project = project
    with shop:
        yield shop


def test_new_field_works_everywhere_after_five_edits(extended: RunningService) -> None:
    with closing(extended.user()) as client:
        plain = client.post("/v1/orders/", json={"name": "plain"}).json()
        assert (plain["customer"], plain["lines"]) == ("", [])
        created = client.post("/v1/orders/", json={"name": "o", "customer": "Ada", "lines": ["pen"]})
        order, path = created.json(), created.headers["Location"]
        assert (created.status_code, order["customer"], order["lines"], order["version"]) == (201, "Ada", ["pen"], 1)
        assert client.get(path).json() == order
        assert order in client.get("/v1/orders/").json()["orders"]

        def check_change(response: httpx.Response, version: int, **fields: Any) -> None:
            assert response.status_code == 200, response.text
            assert response.headers["ETag"] == f'"{version}"'
            assert {name: response.json()[name] for name in ("version", *fields)} == {"version": version, **fields}
            stale = client.get(path, headers={"If-None-Match": f'"{version - 1}"'})
            assert (stale.status_code, stale.json()) == (200, response.json())
            assert client.get(path, headers={"If-None-Match": f'"{version}"'}).status_code == 304

        check_change(client.patch(path, json={"customer": "Grace"}), 2, customer="Grace", lines=["pen"])
        check_change(client.patch(path, json={"lines": ["pen", "ink"]}), 3, customer="Grace", lines=["pen", "ink"])
        check_change(client.patch(path, json={"lines": ["pen", "ink"]}), 3, customer="Grace")
        check_change(client.put(path, json={"name": "o", "customer": "Ada"}), 4, customer="Ada", lines=[])
        check_change(client.patch(path, json={"customer": None}), 5, customer="")
        refused = client.patch(path, json={"customer": "x" * 51})
        assert [error["pointer"] for error in refused.json()["errors"]] == ["#/customer"]
        assert client.get("/v1/orders/", params={"q": "plain"}).json()["orders"] == [plain]
        with Browser(extended) as browser:
            browser.log_in()
            browser.change(f"/admin/orders/order/{order['id']}/change/", customer="Edsger", lines='["desk"]')
            check_change(client.get(path), 6, customer="Edsger", lines=["desk"])
            exported = browser.client.get("/admin/orders/order/export.csv").text.removeprefix("\ufeff")
            assert {row["customer"] for row in csv.DictReader(io.StringIO(exported))} == {"", "Edsger"}
            assert client.get(path).json() in browser.client.get("/admin/orders/order/export.json").json()
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        for name in ("OrderIn", "OrderOut", "OrderPatch"):
            assert {"customer", "lines"} <= schemas[name]["properties"].keys()
