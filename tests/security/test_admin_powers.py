"""Attempts of staff with few permissions to gain more permissions, or to read secrets letter by letter."""

from collections.abc import Iterator

import pytest
from django.contrib import admin

from tests.running_service import RunningService
from tests.staff_browser import Browser, make_member_of_staff

GROUPS = "/admin/auth/group/"
LISTS = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]
# If a list understood these lookups, its results would reveal whether a guess is right.
GUESSES = [
    f"{way}password__startswith=argon2"
    for way in ("", "user__", "owner__", "session__user__", "user__sessions__user__", "groups__user__")
] + [
    "digest__startswith=a",
    "user__api_keys__digest__startswith=a",
    "refresh_tokens__digest__startswith=a",
    "owner__api_keys__digest__gt=a",
]


@pytest.fixture
def browser(service: RunningService) -> Iterator[Browser]:
    with Browser(service) as browser:
        yield browser


def count(service: RunningService, statement: str) -> int:
    [[found]] = service.query(f"SELECT count(*) FROM {statement}")
    return int(found)


def test_staff_cannot_gain_permissions_through_groups(browser: Browser, service: RunningService) -> None:
    service.query("DELETE FROM auth_group WHERE name = 'readers'")
    service.query("INSERT INTO auth_group (name) VALUES ('readers')")
    [[group]] = service.query("SELECT id FROM auth_group WHERE name = 'readers'")
    email = make_member_of_staff(service, "view_group", "add_group", "change_group", "delete_group")
    service.query(
        "INSERT INTO accounts_user_groups (user_id, group_id) SELECT id, ? FROM accounts_user WHERE email = ?",
        group,
        email,
    )
    assert browser.log_in(email).status_code == 302
    token = browser.client.cookies["csrftoken"]
    fields = {"csrfmiddlewaretoken": token, "name": "readers", "permissions": [str(number) for number in range(1, 30)]}
    for path in (f"{GROUPS}{group}/change/", f"{GROUPS}add/", f"{GROUPS}{group}/delete/"):
        response = browser.client.post(path, data={**fields, "post": "yes"}, headers={"Referer": service.url})
        assert response.status_code == 403, path
    assert count(service, f"auth_group_permissions WHERE group_id = {group}") == 0
    assert count(service, "auth_group WHERE name = 'readers'") == 1


def test_superusers_manage_groups(browser: Browser, service: RunningService) -> None:
    assert browser.log_in().status_code == 302
    assert browser.submit(f"{GROUPS}add/", name="writers").status_code == 302
    assert count(service, "auth_group WHERE name = 'writers'") == 1
    service.query("DELETE FROM auth_group WHERE name = 'writers'")


@pytest.mark.parametrize("path", LISTS)
def test_lists_cannot_be_filtered_by_secrets(browser: Browser, path: str) -> None:
    """Superusers are included: an attacker might send their browser to such a list."""
    assert browser.log_in().status_code == 302
    for guess in GUESSES:
        for page in (path, f"{path}export.csv"):
            response = browser.client.get(f"{page}?{guess}")
            assert response.status_code in (302, 400, 404), f"{page}?{guess}: {response.status_code}"
            assert response.status_code != 302 or response.headers["location"].endswith("?e=1")
