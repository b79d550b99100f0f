"""Ten failures lock an address for 15 minutes, with or without an account."""

from typing import Any

import pytest

from core.auth.models import Lockout
from core.auth.passwords import lockout
from core.http.problems import AccountLocked

pytestmark = pytest.mark.django_db
MINUTE = 60


class Clock:
    """Replaces time.time with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lockout, "time", clock)
    return clock


def count(times: int, digest: str = "d") -> None:
    for _ in range(times):
        lockout.count_attempt(digest)


def is_locked(digest: str = "d") -> bool:
    return Lockout.objects.filter(email_digest=digest, locked_until__isnull=False).exists()


def wait_of(digest: str = "d") -> int:
    with pytest.raises(AccountLocked) as refused:
        lockout.count_attempt(digest)
    return int(refused.value.headers["Retry-After"])


def test_eleventh_attempt_is_refused() -> None:
    count(8)
    assert not lockout.count_attempt("d")
    assert lockout.count_attempt("d"), "the last allowed attempt"
    assert wait_of() == 15 * MINUTE


def test_other_addresses_are_not_locked() -> None:
    count(10)
    count(1, "another")


def test_lock_ends_after_15_minutes_and_the_count_restarts(clock: Clock) -> None:
    count(10)
    clock.now += 15 * MINUTE - 1
    assert wait_of() == 1
    clock.now += 1
    count(10)
    assert wait_of() == 15 * MINUTE


def test_refused_attempts_do_not_prolong_the_lock(clock: Clock) -> None:
    count(10)
    for _ in range(14):
        clock.now += MINUTE
        wait_of()
    clock.now += MINUTE
    count(1)


def test_refused_attempt_writes_nothing(django_assert_num_queries: Any) -> None:
    count(10)
    with django_assert_num_queries(1):
        wait_of()


def test_attempts_are_counted_in_a_sliding_window(clock: Clock) -> None:
    count(1)
    clock.now += 14 * MINUTE
    count(8)
    clock.now += 2 * MINUTE  # the first attempt has left the window
    count(2)
    assert wait_of() == 15 * MINUTE


def test_slow_attempts_never_lock(clock: Clock) -> None:
    for _ in range(50):
        count(1)
        clock.now += 100


def test_success_clears_the_count() -> None:
    count(9)
    lockout.clear_attempts("d")
    count(9)
    assert not is_locked()


def test_unlocking_ends_a_lock() -> None:
    count(10)
    lockout.clear_attempts("d")
    count(1)


@pytest.mark.parametrize("hours", [-1, 1])
def test_clock_change_of_an_hour_locks_nobody_out(clock: Clock, hours: int) -> None:
    count(10)
    clock.now += hours * 3600
    count(9)
    assert not is_locked()


def test_clocks_of_two_hosts_may_differ(clock: Clock) -> None:
    for number in range(10):
        clock.now += 5 if number % 2 else -5
        count(1)
    clock.now -= 5
    assert 895 < wait_of() <= 15 * MINUTE


def test_new_rows_replace_stale_rows(clock: Clock) -> None:
    for number in range(40):
        count(1, f"early-{number}")
    clock.now += 16 * MINUTE
    for number in range(21):
        count(1, f"late-{number}")
    assert Lockout.objects.filter(email_digest__startswith="early").count() == 0
    assert Lockout.objects.count() == 21


def test_rows_that_still_count_are_kept(clock: Clock) -> None:
    count(10)
    clock.now += 14 * MINUTE
    for number in range(20):
        count(1, f"late-{number}")
    assert wait_of() == MINUTE


def test_settings_change_the_limits(settings: Any) -> None:
    settings.LOCKOUT_FAILURES, settings.LOCKOUT_DURATION = 2, 60
    count(2)
    assert wait_of() == 60
