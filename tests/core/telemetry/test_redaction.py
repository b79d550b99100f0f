"""Redaction removes secrets, in linear time."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.auth.login import Proof
from core.telemetry import redaction
from core.telemetry.redaction import MAX_TEXT_CHARS, REDACTED, redact, redact_text

CANARY = "CanarySecret77"
TOKEN = "aB3dE6gH9" * 5
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"got Bearer {CANARY} in",
        f"Basic {CANARY}==",
        f"Cookie: a=b; c={CANARY}",
        f'{{"password": "{CANARY}"}}',
        f'{{"password": "with \\" quote {CANARY}"}}',
        f'"{{\\"password\\": \\"two words {CANARY}\\"}}"',
        f"{{'new_password': '{CANARY}'}}",
        f"password=b'{CANARY}'",
        f"password={CANARY}&next=/",
        f"DB_PASSWORD: {CANARY}",
        f"api_key = {CANARY}",
        f"refresh_token={CANARY}",
        f"JWT_SECRET={CANARY}",
        f"private-key: {CANARY}",
        f"sessionid={CANARY}; path=/",
        f"postgresql://app:{CANARY}@db/app",
        f"redis://:p@{CANARY}@db:6379/0",
        f"key ar_abc123_{CANARY}.",
        f"input_value='{CANARY}', input_type=str",
        f"DETAIL:  Failing row contains (1, {CANARY}, null).",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        JWT.replace("eyJzdWIi", CANARY),
        f"opaque {CANARY}{TOKEN}",
        f"[(b'authorization', b'Bearer {CANARY}')]",
    ],
)
def test_secret_is_removed(text: str) -> None:
    shown = redact_text(text)
    assert CANARY not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/items/0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000 took 3 ms",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 in span 00f067aa0ba902b7",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        'File "/srv/app/core/database/pool.py", line 12, in run_each_of_the_jobs_that_wait_for_the_writer',
        "https://app.example/docs?x=1",
        "the bar_x_y of the car",
    ],
)
def test_ordinary_text_is_kept(text: str) -> None:
    assert redact_text(text) == text


def test_only_the_secret_is_removed() -> None:
    assert redact_text(f"user 7 sent password={CANARY}, twice") == f"user 7 sent password={REDACTED}, twice"
    assert redact_text(f"key ar_abc_{CANARY} of user 7") == f"key ar_abc_{REDACTED} of user 7"


def test_long_text_keeps_its_ends() -> None:
    shown = redact_text("first " + "x " * MAX_TEXT_CHARS + " last")
    assert shown.startswith("first ")
    assert shown.endswith(" last")
    assert len(shown) < MAX_TEXT_CHARS + 100


def test_own_secrets_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", set())
    redaction.hide(["plain-looking", "short", ""])
    assert redact_text("it is plain-looking, in short") == f"it is {REDACTED}, in short"


@pytest.mark.parametrize("name", ["password", "Authorization", "new_password", "api_key", "csrftoken", "db_dsn"])
def test_field_with_the_name_of_a_secret_is_removed(name: str) -> None:
    assert redact(name, CANARY) == REDACTED
    assert redact("context", {name: CANARY, "other": 1}) == {name: REDACTED, "other": 1}
    assert redact(name, [CANARY]) == REDACTED


def test_field_becomes_plain_data() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    value: dict[Any, Any] = {1: (True, None, 2.5), "at": moment, "said": f"Bearer {CANARY}", "raw": b"\xff"}
    assert redact("value", value) == {
        "1": [True, None, 2.5],
        "at": str(moment),
        "said": f"Bearer {REDACTED}",
        "raw": "b'\\xff'",
    }


def test_depth_and_number_of_entries_are_limited() -> None:
    endless: dict[str, Any] = {"password": CANARY}
    endless["again"] = endless
    assert CANARY not in str(redact("value", endless))
    assert len(redact("value", list(range(1000)))) == redaction.MAX_ENTRIES


@pytest.mark.parametrize(
    "piece",
    ["a", "a-", "aB", "token=\\", "token\\", "password='\\'", "://", "://a:", "eyJ", "eyJaaaaa.", "ar_a",
     "bearer ", "cookie", "-----BEGIN ", "input_value=", "é", "password\"", "aaaaaB-"],
)  # fmt: skip
def test_hostile_text_takes_linear_time(piece: str) -> None:
    began = time.process_time()
    redact_text(piece * (MAX_TEXT_CHARS // len(piece)))
    assert time.process_time() - began < 0.25


def test_named_tuple_is_shown_by_its_repr() -> None:
    proof = Proof(user_id=UUID(int=1), email_digest="digest", encoded="argon2$of-a-password", upgraded=None)
    assert redact("found", [proof]) == [f"Proof(user_id={UUID(int=1)})"]
