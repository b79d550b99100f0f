"""Databases with millions of items, created by SQL within minutes."""

import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

START = datetime(2026, 1, 1, tzinfo=UTC)
SYLLABLES = [first + vowel for first in "bdfklmnprst" for vowel in "aeio"]
# The owners: nearly all items, one in a thousand, and ten.
MANY, SOME, TEN = (f"{name}@example.org" for name in ("many", "some", "ten"))
# RARE is in five items, whatever their number. COMMON is in every item.
RARE, COMMON = "xylograph", "the"
COLUMNS = "id, name, description, status, metadata, owner_id, version, created_at, updated_at"


def rows(count: int, owners: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield items. The frequency of their words falls with the rank of the word, as in natural language."""
    chance = random.Random(7)  # noqa: S311  # the same items each time
    words = ["".join(chance.choices(SYLLABLES, k=chance.choice((1, 2, 2, 3, 4)))) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    texts = [" ".join(chance.choices(words, weights, k=18)) for _ in range(20_000)]
    for number in range(count):
        moment = START + timedelta(seconds=number / 4, microseconds=number % 1000 + 1)
        bits = chance.getrandbits(74)
        clock = int(moment.timestamp() * 1000) << 80
        item_id = uuid.UUID(int=clock | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits % 2**62)
        owner = TEN if number % (count // 10) == 5 else SOME if number % 1000 == 7 else MANY
        text = f"{COMMON} {texts[bits % len(texts)]}" + (f" {RARE}" if number % (count // 5) == count // 10 else "")
        status = ("active", "active", "active", "draft", "archived")[bits % 5]
        yield item_id, f"{words[bits % 4000]} {number}", text, status, "{}", owners[owner], 1, moment, moment


def fill(dsn: str, count: int) -> None:
    """Insert three users and their items into an empty, migrated database, and rebuild its indexes."""
    owners = {email: uuid.uuid4() for email in (MANY, SOME, TEN)}
    if dsn.startswith("sqlite"):
        _fill_sqlite(dsn.removeprefix("sqlite:///"), count, owners)
    else:
        _fill_postgresql(dsn, count, owners)


def _fill_sqlite(file: str, count: int, owners: dict[str, uuid.UUID]) -> None:
    with closing(sqlite3.connect(file, autocommit=True)) as database:
        database.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000; PRAGMA wal_autocheckpoint=16384")
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'item' AND type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            database.execute(f'DROP INDEX "{name}"')
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO accounts_user (id, email, password, is_active, is_staff, is_superuser, created_at) "
            "VALUES (?, ?, '!', 1, 0, 0, '2026-01-01 00:00:00')",
            [(user_id.hex, email) for email, user_id in owners.items()],
        )
        items = (
            (made.hex, *texts, owner.hex, version, *(moment.isoformat(" ", "microseconds")[:26] for moment in moments))
            for made, *texts, owner, version, created, updated in rows(count, owners)
            for moments in [(created, updated)]
        )
        database.executemany(f"INSERT INTO item ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", items)  # noqa: S608
        database.execute("COMMIT")
        for _, statement in indexes:
            database.execute(statement)


def _fill_postgresql(dsn: str, count: int, owners: dict[str, uuid.UUID]) -> None:
    with psycopg.connect(dsn) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'item' AND indexname <> 'item_pkey'"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"'.encode())
        cursor.executemany(
            "INSERT INTO accounts_user (id, email, password, is_active, is_staff, is_superuser, created_at) "
            "VALUES (%s, %s, '!', true, false, false, now())",
            [(user_id, email) for email, user_id in owners.items()],
        )
        with cursor.copy(f"COPY item ({COLUMNS}) FROM STDIN".encode()) as copy:
            for row in rows(count, owners):
                copy.write_row(row)
        database.commit()
        for _, statement in indexes:
            cursor.execute(statement.encode())


def settle(dsn: str) -> None:
    """Run vacuum, analyze and a checkpoint, so that they do not disturb the measurement."""
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute("VACUUM (ANALYZE)")
        with suppress(psycopg.errors.InsufficientPrivilege):
            database.execute("CHECKPOINT")
        while database.execute("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'").fetchone():
            time.sleep(1)
