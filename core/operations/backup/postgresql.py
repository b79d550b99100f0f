"""PostgreSQL: dumps a snapshot, and checks that a dump is complete."""

from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection, transaction
from psycopg import sql

from core.operations.backup import client_programs
from core.operations.backup.durable import put_on_disk
from core.operations.backup.failures import BackupError
from core.operations.backup.manifest import Contents

ENGINE = "postgresql"


def dump_online(target: Path) -> Contents:
    """Dump one snapshot, without owners and grants, into an empty file, and return its contents. Raises BackupError."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # The transaction is idle while pg_dump works, and counting rows may take long.
            for timeout in ("idle_in_transaction_session_timeout", "statement_timeout"):
                cursor.execute(f"SET LOCAL {timeout} = 0")
            # pg_dump reads the same snapshot.
            snapshot = read_value("SELECT pg_export_snapshot()")
            contents = read_contents()
            client_programs.run(
                "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
                f"--schema={quoted(schema_name())}", f"--file={target}", f"--dbname={client_programs.target()}",
            )  # fmt: skip
    except DatabaseError as error:
        raise BackupError(f"the database could not be read: {str(error).strip()}") from error
    put_on_disk(target)
    return contents


def read_through(dump: Path, tables: list[str]) -> None:
    """Read a dump to its end with pg_restore. Raises BackupError if that fails or a table is missing."""
    listed = client_programs.run("pg_restore", "--list", str(dump)).splitlines()
    found = {line.split("TABLE DATA ", 1)[1].split()[1] for line in listed if "TABLE DATA " in line}
    if missing := sorted(set(tables) - found):
        raise BackupError(f"{dump} lacks the data of {', '.join(missing)}")
    client_programs.run("pg_restore", "--file=/dev/null", str(dump))


def read_contents() -> Contents:
    """Return the contents that the current transaction sees. Raises BackupError if it is not a service's database."""
    version = ".".join(map(str, connection.get_database_version()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        if "django_migrations" not in tables:
            raise BackupError("the database does not belong to this service: no migration was applied to it")
        rows = {}
        for table in tables:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            rows[table] = int(cursor.fetchone()[0])
        cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id")
        migrations = [name for (name,) in cursor.fetchall()]
    return Contents(engine=ENGINE, engine_version=version, migrations=migrations, rows=rows)


def read_value(query: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        [value] = cursor.fetchone()
        return value


def schema_name() -> str:
    """Return the schema of the service's tables. Raises BackupError if there is none."""
    if (name := read_value("SELECT current_schema()")) is None:
        raise BackupError("no schema of the database's search_path exists")
    return str(name)


def quoted(*names: str) -> str:
    """Quote names as an SQL identifier, which is also the syntax of pg_dump's patterns."""
    return str(sql.Identifier(*names).as_string(None))
