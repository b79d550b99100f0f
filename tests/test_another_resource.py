"""What CONTRIBUTING says of another resource: a copy of `items`, renamed, and two lines."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_service import PASSWORD, PROJECT, RunningService
from tests.staff_browser import Browser

PARTS = ("agent_router", "core", "items", "manage.py")


def copy_items(project: Path) -> None:
    """Steps 1 to 3."""
    shutil.copytree(project / "items", project / "orders")
    for path in (project / "orders").rglob("*.py"):
        text = path.read_text().replace("items", "orders").replace("item", "order").replace("Item", "Order")
        path.write_text(text)
    add_line(project / "agent_router" / "settings.py", r'    "items",\n', '    "orders",\n')
    api = project / "agent_router" / "api.py"
    add_line(api, r"from items\.api import router as items\n", "from orders.api import router as orders\n")
    add_line(api, r'api\.add_router\("/v1/items", items\)\n', 'api.add_router("/v1/orders", orders)\n')


def add_line(path: Path, after: str, line: str) -> None:
    text, count = re.subn(after, lambda found: found[0] + line, path.read_text())
    assert count == 1, path
    path.write_text(text)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with both resources."""
    project, folder = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("service")
    for name in PARTS:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, project / name)
    copy_items(project)
    shop = RunningService(folder)
    shop.project = project
    with shop:
        yield shop


@pytest.fixture
def client(shop: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url) as client:
        account = {"email": "buyer@example.org", "password": PASSWORD}
        client.post("/v1/auth/register", json=account)
        token = client.post("/v1/auth/login", json=account).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_it_needs_no_other_migration(shop: RunningService) -> None:
    assert "No changes" in shop.manage("makemigrations", "--check", "--dry-run").stdout


def test_it_does_what_items_do(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    made = client.post("/v1/orders/", json={"name": "Chairs", "metadata": {"n": 4}}, headers=key)
    assert made.status_code == 201, made.text
    assert client.post("/v1/orders/", json={"name": "Chairs", "metadata": {"n": 4}}, headers=key).json() == made.json()
    path = made.headers["Location"]
    assert path == f"/v1/orders/{made.json()['id']}"
    changed = client.patch(path, json={"metadata": {"n": 5}}, headers={"If-Match": made.headers["ETag"]})
    assert changed.json()["metadata"] == {"n": 5}
    assert client.get(path).json() == changed.json()
    found = client.get("/v1/orders/", params={"q": "CHAIR", "sort": "name", "total": "true"}).json()
    assert (found["orders"], found["total"]) == ([changed.json()], 1)
    assert client.get("/v1/items/").json()["items"] == []
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_keys_can_be_made_for_it_alone(shop: RunningService, client: httpx.Client) -> None:
    made = client.post("/v1/auth/api-keys", json={"name": "reader", "scopes": ["orders:read"]})
    assert made.status_code == 201, made.text
    with httpx.Client(base_url=shop.url, headers={"Authorization": f"Bearer {made.json()['key']}"}) as robot:
        assert robot.get("/v1/orders/").status_code == 200
        assert robot.get("/v1/items/").status_code == 403


def test_it_is_documented_and_in_the_admin(shop: RunningService, client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/orders/", "/v1/orders/{id}", "/v1/items/"} <= document["paths"].keys()
    scopes = document["components"]["schemas"]["APIKeyIn"]["properties"]["scopes"]["items"]["enum"]
    assert scopes == ["items:read", "items:write", "orders:read", "orders:write"]
    made = client.post("/v1/orders/", json={"name": "Table"}).json()
    with Browser(shop) as browser:
        browser.log_in()
        assert "Table" in browser.get("/admin/orders/order/")
        browser.change(f"/admin/orders/order/{made['id']}/change/", name="Desk")
    assert client.get(f"/v1/orders/{made['id']}").json()["name"] == "Desk"
