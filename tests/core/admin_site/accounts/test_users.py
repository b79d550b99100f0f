"""Users and audit events in the admin, as a browser sees them."""

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest

from tests.core.auth.calls import (
    WRONG,
    email_of,
    events,
    is_refused,
    log_in,
    make_key,
    new_address,
    problem,
    query,
    refresh,
    tokens_of,
    within_a_second,
)
from tests.running_service import PASSWORD, STAFF_EMAIL, RunningService
from tests.staff_browser import Browser, make_member_of_staff

USERS, AUDIT = "/admin/accounts/user/", "/admin/accounts/auditevent/"


@pytest.fixture
def browser(service: RunningService) -> Iterator[Browser]:
    with Browser(service) as one:
        yield one


def act(browser: Browser, action: str, *ids: str) -> None:
    """Run a confirmed action on users."""
    assert browser.act(USERS, action, *ids, post="yes").status_code == 302


def id_of(service: RunningService, email: str) -> str:
    [[found]] = query(service, "SELECT id FROM accounts_user WHERE email = ?", email)
    return str(UUID(str(found)))  # SQLite stores it without dashes


def test_login_accepts_an_address_in_any_case_and_is_recorded(browser: Browser, service: RunningService) -> None:
    before = events(service, STAFF_EMAIL)
    assert browser.log_in(STAFF_EMAIL.upper()).status_code == 302
    assert "Overview" in browser.get("/admin/")
    assert events(service, STAFF_EMAIL)[len(before) :] == ["logged_in"]
    assert browser.submit("/admin/", next="x").status_code == 200
    assert browser.client.post("/admin/logout/").status_code == 403, "without the CSRF token"


def test_user_who_is_not_staff_is_refused(browser: Browser, service: RunningService) -> None:
    assert "Please enter the correct" in browser.log_in(email_of(service.user())).text
    assert browser.client.get("/admin/").status_code == 302


@pytest.mark.parametrize("exists", [True, False])
def test_login_shares_the_lockout_with_the_api(browser: Browser, service: RunningService, exists: bool) -> None:
    email = make_member_of_staff(service) if exists else new_address()
    with service.client() as client:
        for _ in range(5):
            problem(log_in(client, email, WRONG), 401, "unauthorized")
        for _ in range(5):
            assert "Please enter the correct" in browser.log_in(email, WRONG).text
        assert "Try again in 15 min" in browser.log_in(email).text
        problem(log_in(client, email), 429, "account-locked")
    assert browser.client.get("/admin/").status_code == 302
    if exists:
        assert events(service, email)[2:] == ["log_in_failed"] * 10 + ["account_locked"]


def test_login_clears_failures(browser: Browser, service: RunningService) -> None:
    email = make_member_of_staff(service)
    for _ in range(9):
        browser.log_in(email, WRONG)
    assert browser.log_in(email).status_code == 302
    assert query(
        service,
        "SELECT count(*) FROM accounts_logintries t, accounts_user u WHERE u.email = ?"
        " AND t.locked_until IS NOT NULL AND t.email_digest = u.email",
        email,
    ) == [(0,)]
    with service.client() as client:
        problem(log_in(client, email, WRONG), 401, "unauthorized")


def test_users_are_found_by_part_of_their_address(boss: Browser, service: RunningService) -> None:
    email, other = email_of(service.user()), email_of(service.user())
    found = boss.get(f"{USERS}?q={email[:10].upper()}")
    assert email in found
    assert other not in found


def test_user_page_shows_sessions_and_keys_without_secrets(boss: Browser, service: RunningService) -> None:
    me = service.user(headers={"User-Agent": "shown-in-the-admin/1"})
    made, _ = make_key(service, me, "items:read", name="named-in-the-admin")
    page = boss.get(f"{USERS}{id_of(service, email_of(me))}/change/")
    for shown in ("shown-in-the-admin/1", "named-in-the-admin", made["prefix"], "argon2id"):
        assert shown in page
    assert made["key"].split("_")[2] not in page
    [[encoded]] = query(service, "SELECT password FROM accounts_user WHERE email = ?", email_of(me))
    assert encoded.rsplit("$", 1)[1] not in page
    assert "<select name=" not in page.split("api_keys")[1], "no drop-down of users"


def test_revoking_ends_sessions_and_keys(boss: Browser, service: RunningService) -> None:
    me = service.user()
    _, robot = make_key(service, me, "items:read")
    assert not is_refused(me)
    act(boss, "revoke_access", id_of(service, email_of(me)))
    assert within_a_second(lambda: is_refused(me) and is_refused(robot))
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    assert log_in(me, email_of(me)).status_code == 200
    assert "access_revoked" in events(service, email_of(me))


def test_activating_does_not_restore_ended_sessions(boss: Browser, service: RunningService) -> None:
    me = service.user()
    _, robot = make_key(service, me, "items:read")
    assert not is_refused(me)
    act(boss, "deactivate", id_of(service, email_of(me)))
    assert within_a_second(lambda: is_refused(me) and is_refused(robot))
    problem(log_in(me, email_of(me)), 401, "unauthorized")
    assert "account_deactivated" in events(service, email_of(me))
    change(boss, service, email_of(me), is_active="on")
    assert log_in(me, email_of(me)).status_code == 200
    assert is_refused(me), "ended sessions stay ended"
    assert is_refused(robot)


def change(browser: Browser, service: RunningService, email: str, **fields: str) -> httpx.Response:
    """Save the page of a user. Boxes without a value are unticked."""
    inlines = {
        f"{name}-{part}": "0"
        for name in ("sessions", "api_keys")
        for part in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
    }
    return browser.submit(f"{USERS}{id_of(service, email)}/change/", email=email, **inlines, **fields)


def test_unticking_active_on_the_page_of_a_user_ends_sessions(boss: Browser, service: RunningService) -> None:
    me = service.user()
    assert not is_refused(me)
    assert change(boss, service, email_of(me)).status_code == 302
    assert within_a_second(lambda: is_refused(me))
    problem(refresh(me, tokens_of(me)["refresh_token"]), 401, "unauthorized")
    assert "account_deactivated" in events(service, email_of(me))


def test_unlocked_user_can_log_in_at_once(boss: Browser, service: RunningService) -> None:
    me = service.user()
    for _ in range(10):
        log_in(me, email_of(me), WRONG)
    problem(log_in(me, email_of(me)), 429, "account-locked")
    act(boss, "unlock", id_of(service, email_of(me)))
    assert log_in(me, email_of(me)).status_code == 200
    assert "account_unlocked" in events(service, email_of(me))


def test_new_user_has_a_canonical_address(boss: Browser, service: RunningService) -> None:
    email = new_address()
    answer = boss.submit(f"{USERS}add/", email=email.upper(), password1=PASSWORD, password2=PASSWORD)
    assert answer.status_code == 302, answer.text
    with service.client() as client:
        assert log_in(client, email).status_code == 200
    again = boss.submit(f"{USERS}add/", email=email.title(), password1=PASSWORD, password2=PASSWORD)
    assert "A user with this e-mail already exists" in again.text


def test_password_set_by_staff_ends_the_sessions_of_the_user(boss: Browser, service: RunningService) -> None:
    me = service.user()
    assert not is_refused(me)
    new = "Another-" + PASSWORD
    path = f"{USERS}{id_of(service, email_of(me))}/password/"
    answer = boss.submit(path, password1=new, password2=new, usable_password="true", **{"set-password": "x"})
    assert answer.status_code == 302, answer.text
    assert within_a_second(lambda: is_refused(me))
    assert log_in(me, email_of(me), new).status_code == 200


def test_delete_page_counts_the_rows_to_delete(boss: Browser, service: RunningService) -> None:
    me = service.user()
    user = id_of(service, email_of(me))
    for number in range(3):
        me.post("/v1/items/", json={"name": f"not-named-{number}"})
    page = boss.get(f"{USERS}{user}/delete/")
    assert "not-named" not in page
    assert "items: 3" in page.lower()
    assert boss.submit(f"{USERS}{user}/delete/", post="yes").status_code == 302
    assert within_a_second(lambda: is_refused(me))
    recorded = query(
        service, "SELECT event FROM accounts_auditevent WHERE user_id = ? ORDER BY id", user.replace("-", "")
    )
    assert recorded[-1] == ("account_deleted",)


def test_staff_cannot_delete_a_superuser_in_bulk(browser: Browser, service: RunningService) -> None:
    email = make_member_of_staff(service, "view_user", "delete_user")
    assert browser.log_in(email).status_code == 302
    boss_id = id_of(service, STAFF_EMAIL)
    answer = browser.submit(USERS, action="delete_selected", _selected_action=[boss_id], post="yes")
    assert answer.status_code == 302
    assert query(service, "SELECT is_active FROM accounts_user WHERE email = ?", STAFF_EMAIL) == [(1,)]


def test_staff_cannot_create_or_change_superusers(browser: Browser, service: RunningService) -> None:
    email = make_member_of_staff(service, "view_user", "change_user", "delete_user")
    assert browser.log_in(email).status_code == 302
    assert change(browser, service, email, is_active="on", is_staff="on", is_superuser="on").status_code == 302
    assert query(service, "SELECT is_superuser FROM accounts_user WHERE email = ?", email) == [(0,)]
    boss_id = id_of(service, STAFF_EMAIL)
    assert change(browser, service, email_of(service.user()), is_active="on").status_code == 302
    for page in ("delete", "password"):
        assert browser.client.get(f"{USERS}{boss_id}/{page}/").status_code == 403
    for action in ("deactivate", "revoke_access", "unlock"):
        act(browser, action, boss_id)
    assert query(service, "SELECT is_active FROM accounts_user WHERE email = ?", STAFF_EMAIL) == [(1,)]


def test_staff_without_the_permission_see_no_actions(browser: Browser, service: RunningService) -> None:
    assert browser.log_in(make_member_of_staff(service, "view_user")).status_code == 302
    assert 'value="deactivate"' not in browser.get(USERS)


def test_audit_events_can_be_found_but_not_changed(boss: Browser, service: RunningService) -> None:
    me, stranger = service.user(), new_address()
    with service.client() as client:
        log_in(client, stranger, WRONG)
    by_email = boss.get(f"{AUDIT}?q={email_of(me).upper()}")
    assert "registered" in by_email
    assert "log_in_failed" not in by_email.split("result_list")[1]
    assert "log_in_failed" in boss.get(f"{AUDIT}?q={stranger}")
    assert "registered" in boss.get(f"{AUDIT}?q={id_of(service, email_of(me))}")
    assert "registered" in boss.get(f"{AUDIT}?q=127.0.0.1")
    assert "0 audit events" in boss.get(f"{AUDIT}?q=nonsense")
    assert "logged_in" in boss.get(f"{AUDIT}?event=logged_in")
    [[event]] = query(service, "SELECT id FROM accounts_auditevent ORDER BY id LIMIT 1")
    assert boss.client.get(f"{AUDIT}add/").status_code == 403
    assert boss.client.get(f"{AUDIT}{event}/delete/").status_code == 403
    assert "Save" not in boss.get(f"{AUDIT}{event}/change/")


def test_admin_session_ends_when_password_or_account_changes(service: RunningService) -> None:
    for statement in ("password = 'x'", "is_active = false", "is_staff = false"):
        browser, email = Browser(service), make_member_of_staff(service)
        assert browser.log_in(email).status_code == 302
        browser.get("/admin/")
        query(service, f"UPDATE accounts_user SET {statement} WHERE email = ?", email)
        assert browser.client.get("/admin/").status_code == 302


def test_staff_cannot_take_over_other_staff(browser: Browser, service: RunningService) -> None:
    assert browser.log_in(make_member_of_staff(service, "view_user", "change_user", "delete_user")).status_code == 302
    colleague = make_member_of_staff(service, "delete_user")
    for page in ("delete", "password"):
        assert browser.client.get(f"{USERS}{id_of(service, colleague)}/{page}/").status_code == 403
    act(browser, "deactivate", id_of(service, colleague))
    assert query(service, "SELECT is_active FROM accounts_user WHERE email = ?", colleague) == [(1,)]


@pytest.mark.parametrize("by_staff", [False, True])
def test_ending_all_sessions_ends_admin_sessions(boss: Browser, service: RunningService, by_staff: bool) -> None:
    email = make_member_of_staff(service)
    thief, other = Browser(service), Browser(service)
    assert thief.log_in(email).status_code == other.log_in(make_member_of_staff(service)).status_code == 302
    thief.get("/admin/")
    if by_staff:
        act(boss, "revoke_access", id_of(service, email))
    else:
        assert service.log_in(email, PASSWORD).post("/v1/auth/logout-all").status_code == 204
    assert thief.client.get("/admin/").status_code == 302
    other.get("/admin/")
    assert thief.log_in(email).status_code == 302
    thief.get("/admin/")


def test_admin_can_be_disabled(start: Callable[..., RunningService]) -> None:
    with start(ADMIN_ENABLED="false").client() as client:
        assert client.get("/admin/").status_code == 404
        assert client.get("/admin/login/").status_code == 404
