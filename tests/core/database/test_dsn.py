"""DB_DSN in the forms of Django, SQLAlchemy and libpq; errors do not contain the password."""

from pathlib import Path

import pytest

from core.database.dsn import parse_dsn, parse_replica_dsns
from core.database.sqlite.options import connection_options

PASSWORD = "s3cret-value"


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_sqlite_paths_are_relative_or_absolute(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "data").mkdir()
    for path in ("./data/app.db", "data/app.db", f"{tmp_path}/data/app.db", "data/../data/app.db"):
        found = parse_dsn(f"{scheme}:///{path}", tmp_path)
        assert found["ENGINE"] == "core.database.backends.sqlite3"
        assert found["NAME"] == str(tmp_path / "data" / "app.db")
        assert found["OPTIONS"] == connection_options()
        assert found["CONN_MAX_AGE"] is None


def test_sqlite_path_may_contain_any_characters(tmp_path: Path) -> None:
    (tmp_path / "with space").mkdir()
    assert parse_dsn("sqlite:///with%20space/%C3%A9.db", tmp_path)["NAME"] == str(tmp_path / "with space" / "é.db")


@pytest.mark.parametrize(
    "dsn",
    ["sqlite://", "sqlite:///", "sqlite://app.db", "sqlite://host/app.db", "sqlite:///:memory:", "sqlite+aiosqlite://"],
)
def test_sqlite_needs_a_file(tmp_path: Path, dsn: str) -> None:
    with pytest.raises(ValueError, match="must name a file"):
        parse_dsn(dsn, tmp_path)


def test_missing_folder_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}/nowhere does not exist: make it with mkdir -p"):
        parse_dsn("sqlite:///nowhere/app.db", tmp_path)


def test_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match="data is a folder: name a file in it"):
        parse_dsn("sqlite:///data/", tmp_path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
def test_every_postgresql_scheme_is_accepted(tmp_path: Path, scheme: str) -> None:
    found = parse_dsn(f"{scheme}://me:{PASSWORD}@db.example:5433/app", tmp_path)
    assert found["ENGINE"] == "core.database.backends.postgresql"
    names = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    assert [found[name] for name in names] == ["me", PASSWORD, "db.example", "5433", "app"]


def test_postgresql_parts_may_be_omitted_or_escaped(tmp_path: Path) -> None:
    found = parse_dsn("postgresql://db/app", tmp_path)
    assert (found["USER"], found["PASSWORD"], found["PORT"]) == ("", "", "")
    found = parse_dsn("postgresql://a%40b:p%2F%3A%23@[::1]:5432/an%20app", tmp_path)
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["NAME"]) == ("a@b", "p/:#", "::1", "an app")


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "app.db",
        f"mysql://me:{PASSWORD}@localhost/app",
        f"//me:{PASSWORD}@localhost/app",
        f"postgresql://me:{PASSWORD}@localhost",
        f"postgresql://me:{PASSWORD}@localhost/",
        f"postgresql://me:{PASSWORD}@localhost/a/b",
        f"postgresql://me:{PASSWORD}@localhost:port/app",
        f"postgresql://me:{PASSWORD}@localhost:99999/app",
        f"postgresql://me:{PASSWORD}#@localhost/app",
        f"postgresql://me:{PASSWORD}@[::1/app",
    ],
)
def test_errors_do_not_repeat_the_dsn(tmp_path: Path, dsn: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|must)") as refusal:
        parse_dsn(dsn, tmp_path)
    assert PASSWORD not in str(refusal.value)


def test_replicas_are_separated_by_commas(tmp_path: Path) -> None:
    one, two = f"postgresql://me:{PASSWORD}@one,other:5433/app", "postgres://two:5434/app?sslmode=require"
    found = parse_replica_dsns(f" {one} , {two},", tmp_path)
    assert [(entry["HOST"], entry["PORT"]) for entry in found] == [("one,other", ",5433"), ("two", "5434")]
    assert found[1]["OPTIONS"]["sslmode"] == "require"
    assert parse_replica_dsns("", tmp_path) == []


@pytest.mark.parametrize("wrong", ["sqlite:///app.db", f"me:{PASSWORD}@db/app", f"mysql://me:{PASSWORD}@db/app"])
def test_replicas_must_be_postgresql(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^must (start|name)") as refusal:
        parse_replica_dsns(f"postgresql://db/app,{wrong}", tmp_path)
    assert PASSWORD not in str(refusal.value)
