"""The admin, used as by a browser without scripts."""

import re
from contextlib import closing
from html import unescape
from typing import Any, Self

import httpx

from tests.running_service import PASSWORD, STAFF_EMAIL, RunningService

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Browser:
    """A client that keeps cookies and sends forms with their CSRF tokens."""

    def __init__(self, service: RunningService) -> None:
        self.client = service.client(headers={"Accept": HTML})
        self.email = STAFF_EMAIL

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> str:
        """Return a page, which must have status 200."""
        response = self.client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text[:300]}"
        return response.text

    def submit(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Submit a form of the page with the page's CSRF token."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path))
        assert found
        return self.client.post(path, data={"csrfmiddlewaretoken": found[1], **fields})

    def log_in(self, email: str = STAFF_EMAIL, password: str = PASSWORD) -> httpx.Response:
        """Submit the login form."""
        return self.submit("/admin/login/", username=email, password=password, next="/admin/")

    def act(self, path: str, action: str, *ids: str, **fields: str) -> httpx.Response:
        """Run an action on some rows of a list."""
        return self.submit(path, action=action, _selected_action=list(ids), **fields)

    def change(self, path: str, **fields: Any) -> httpx.Response:
        """Submit the form of a page with its current values, except for these fields."""
        return self.submit(path, **(form_of(self.get(path)) | fields))


def form_of(page: str) -> dict[str, str]:
    """Return the current values of the main form of a page: inputs, text areas and selections."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'\b{key}="([^"]*)"', tag) for key in ("name", "value"))
        if name and 'type="submit"' not in tag and ('type="checkbox"' not in tag or " checked" in tag):
            found[name[1]] = unescape(value[1]) if value else "on"
    for name, text in re.findall(r'<textarea name="([^"]*)"[^>]*>\r?\n?(.*?)</textarea>', page, re.DOTALL):
        found[name] = re.sub(r"\r\n?|\n", "\r\n", unescape(text))
    for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', page, re.DOTALL):
        if chosen := re.search(r'value="([^"]*)" selected', options):
            found[name] = unescape(chosen[1])
    return found


def make_member_of_staff(service: RunningService, *permissions: str) -> str:
    """Create a staff user with these permissions only, and return their e-mail address."""
    with closing(service.user()) as client:
        email = str(client.email)  # type: ignore[attr-defined]
    service.query("UPDATE accounts_user SET is_staff = TRUE WHERE email = ?", email)
    for permission in permissions:
        service.query(
            "INSERT INTO accounts_user_user_permissions (user_id, permission_id) SELECT u.id, p.id"
            " FROM accounts_user u, auth_permission p WHERE u.email = ? AND p.codename = ?",
            email,
            permission,
        )
    return email
