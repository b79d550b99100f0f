"""Admin actions on users, sessions and keys: confirmed, limited to permitted rows, reported and recorded."""

import re
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.core.auth.calls import WRONG, email_of, events, is_refused, log_in, make_key, query, within_a_second
from tests.running_service import STAFF_EMAIL, RunningService
from tests.staff_browser import Browser

USERS, SESSIONS, KEYS = (f"/admin/accounts/{name}/" for name in ("user", "session", "apikey"))


def id_in(service: RunningService, table: str, me: httpx.Client) -> str:
    """Return the id of the user, or of the user's only session or key."""
    whose = "email = ?" if table == "user" else "user_id = (SELECT id FROM accounts_user WHERE email = ?)"
    [[found]] = query(service, f"SELECT id FROM accounts_{table} WHERE {whose}", email_of(me))
    return str(found)


def messages(page: str) -> str:
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', page, re.DOTALL)
    return found[1] if found else ""


def carry_out(browser: Browser, path: str, action: str, *ids: str) -> str:
    """Run a confirmed action and return the message on the list."""
    assert browser.act(path, action, *ids, post="yes").status_code == 302
    return messages(browser.get(path))


@pytest.mark.parametrize("action", ["revoke_access", "deactivate", "unlock"])
def test_action_waits_for_confirmation(boss: Browser, service: RunningService, me: httpx.Client, action: str) -> None:
    before = events(service, email_of(me))
    page = boss.act(USERS, action, id_in(service, "user", me))
    assert page.status_code == 200
    assert email_of(me) in page.text
    assert "Yes, 1 user" in page.text
    assert not is_refused(me)
    assert events(service, email_of(me)) == before


def test_confirmation_runs_the_action(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    page = boss.act(USERS, "deactivate", id_in(service, "user", me)).text
    form = page.split('<form method="post">')[1]
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form))
    assert boss.client.post(USERS, data=fields).status_code == 302
    assert "1 user is deactivated." in messages(boss.get(USERS))
    assert within_a_second(lambda: is_refused(me))


def test_actions_are_available_on_the_page_of_a_user(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    user = id_in(service, "user", me)
    path = f"{USERS}{user}/change/"
    assert '<option value="revoke_access">' in boss.get(path)
    token = boss.client.cookies["csrftoken"]
    form = {"csrfmiddlewaretoken": token, "CHANGE_FORM-action": "revoke_access", "CHANGE_FORM-select_across": "0"}
    shown = re.search(r'name="_selected_action" value="([^"]+)"', boss.get(path))
    assert shown
    asked = boss.client.post(path, data={**form, "_selected_action": shown[1]})
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', asked.text.split('<form method="post">')[1]))
    assert boss.client.post(path, data=fields).status_code == 302
    assert within_a_second(lambda: is_refused(me))
    assert "Revoked sessions and API keys." in boss.get(f"{USERS}{shown[1]}/history/")


def test_sessions_are_listed_found_and_revoked(boss: Browser, service: RunningService) -> None:
    me = service.user(headers={"User-Agent": "one-of-two/1"})
    other = service.log_in(email_of(me), "Sturdy-horse-battery-9")
    assert not is_refused(other)
    [[session]] = query(
        service,
        "SELECT s.id FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id"
        " WHERE u.email = ? AND s.user_agent = 'one-of-two/1'",
        email_of(me),
    )
    page = boss.get(f"{SESSIONS}?q={email_of(me).upper()}")
    assert "one-of-two/1" in page
    assert "2 sessions" in page
    assert "1 session has ended." in carry_out(boss, SESSIONS, "revoke", str(session))
    assert within_a_second(lambda: is_refused(me))
    assert not is_refused(other)
    assert events(service, email_of(me))[-1] == "session_ended"
    assert "1 session" in boss.get(f"{SESSIONS}?q={email_of(me)}&state=revoked")
    assert "1 session" in boss.get(f"{SESSIONS}?q={email_of(me)}&state=valid")
    assert "Nothing was done" in carry_out(boss, SESSIONS, "revoke", str(session)), "the session has already ended"
    for client in (me, other):
        client.close()


def test_keys_are_listed_found_and_revoked(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    made, robot = make_key(service, me, "items:read", name="in-the-admin")
    with robot:
        for term in (made["key"], f"ar_{made['prefix']}", email_of(me), made["id"]):
            page = boss.get(f"{KEYS}?q={term}")
            assert "in-the-admin" in page, term
        assert made["key"].split("_")[2] not in boss.get(f"{KEYS}{made['id']}/change/")
        assert "1 API key is revoked." in carry_out(boss, KEYS, "revoke", made["id"])
        assert within_a_second(lambda: is_refused(robot))
    assert events(service, email_of(me))[-1] == "api_key_revoked"
    assert "revoked" in boss.get(f"{KEYS}{made['id']}/change/")


def test_expired_and_valid_sessions_are_distinguished(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    session = id_in(service, "session", me)
    query(service, "UPDATE accounts_session SET expires_at = '2020-01-01 00:00:00' WHERE id = ?", session)
    assert "expired" in boss.get(f"{SESSIONS}?q={email_of(me)}").split("result_list")[1]
    assert "1 session" in boss.get(f"{SESSIONS}?q={email_of(me)}&state=expired")
    assert "0 sessions" in boss.get(f"{SESSIONS}?q={email_of(me)}&state=valid")


def test_nobody_deactivates_themselves(boss: Browser, service: RunningService) -> None:
    [[oneself]] = query(service, "SELECT id FROM accounts_user WHERE email = ?", STAFF_EMAIL)
    assert "nobody deactivates themselves" in carry_out(boss, USERS, "deactivate", str(oneself))
    assert boss.client.get("/admin/").status_code == 200


def test_locked_login_is_shown_on_the_page_of_the_user(
    boss: Browser, service: RunningService, me: httpx.Client
) -> None:
    path = f"{USERS}{id_in(service, 'user', me)}/change/"
    assert "until 20" not in boss.get(path)
    for _ in range(10):
        log_in(me, email_of(me), WRONG)
    assert "until 20" in boss.get(path)


def test_other_staff_cannot_revoke_access_of_superusers(
    staff: Callable[..., Browser], service: RunningService, me: httpx.Client
) -> None:
    browser = staff("view_user", "change_user", "view_session", "change_session")
    with closing(service.staff()) as superuser:
        [[superuser_id]] = query(service, "SELECT id FROM accounts_user WHERE email = ?", STAFF_EMAIL)
        chosen = str(superuser_id), id_in(service, "user", me)
        page = browser.act(USERS, "revoke_access", *chosen).text
        assert "Yes, 1 user" in page
        assert "The action skips 1 of the selected users" in page
        assert "1 user has lost their sessions" in carry_out(browser, USERS, "revoke_access", *chosen)
        sessions = query(service, "SELECT id FROM accounts_session WHERE user_id = ?", superuser_id)
        assert "Nothing was done" in carry_out(browser, SESSIONS, "revoke", *(str(one) for [one] in sessions))
        assert not is_refused(superuser)
    assert within_a_second(lambda: is_refused(me))


@pytest.mark.parametrize(("path", "permission"), [(SESSIONS, "view_session"), (KEYS, "view_apikey")])
def test_view_permission_does_not_allow_revoking(staff: Callable[..., Browser], path: str, permission: str) -> None:
    browser = staff(permission)
    assert 'value="revoke"' not in browser.get(path)
    assert "Nothing" not in browser.get(path)
    assert browser.client.get(USERS).status_code == 403
