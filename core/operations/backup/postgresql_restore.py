"""PostgreSQL: restores a dump in a single transaction, which renames the existing schema and creates a new schema.

This needs no further rights than the service has, and keeps the database's settings and grants.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO

from django.conf import settings
from django.db import DatabaseError, connection, connections
from psycopg import sql

from core.operations.backup import client_programs
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.postgresql import quoted, read_value, schema_name
from core.resources.search import building
from core.resources.search.tables import searched_tables

DISCONNECT_SECONDS = 5.0
HAS_TABLES = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema())"
COUNT_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name = current_setting('application_name') AND application_name <> ''"
)


def restore(backup: Backup, suffix: str, emptied: list[str], *, force: bool) -> str:
    """Restore a dump, empty some tables, and return the schema with the old tables ("" if there were none).

    Raises BackupError, and then the database is unchanged.
    """
    try:
        schema, has_tables = schema_name(), read_value(HAS_TABLES)
        if has_tables and not force:
            raise BackupError("the database has tables. With --force, the old tables are kept in another schema")
        _wait_for_disconnects()
        old = f"{schema}_{suffix}" if has_tables else ""
        deletions = [f"DELETE FROM {quoted(schema, table)};" for table in emptied]  # noqa: S608  # names are quoted
        after = [*_checks(schema, backup.manifest.rows), *deletions]
        _run_script(backup.data, schema, list(_preparations(schema, old)), after)
        # The restore is committed. A timeout from here on must not report it as failed.
        with suppress(DatabaseError):
            _optimize()
    except DatabaseError as error:
        raise BackupError(f"the database cannot be restored: {str(error).strip()}") from error
    finally:
        connections.close_all()
    return old


def _optimize() -> None:
    """Build the search indexes, which the restore leaves out, and the planner's statistics."""
    for table in searched_tables():
        building.build(table)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _wait_for_disconnects() -> None:
    """Raise BackupError if the service stays connected. The server notices ended processes with a short delay."""
    deadline = time.monotonic() + DISCONNECT_SECONDS
    while count := read_value(COUNT_CONNECTIONS):
        if time.monotonic() > deadline:
            hint = ". RECONNECT in PgBouncer's console closes idle connections" if settings.DB_BEHIND_PGBOUNCER else ""
            raise BackupError(
                f"the database is in use ({count} connections). Stop all processes of the service first{hint}"
            )
        time.sleep(0.1)


def _preparations(schema: str, old: str) -> Iterator[str]:
    if old:
        yield f"ALTER SCHEMA {quoted(schema)} RENAME TO {quoted(old)};"
        yield f"CREATE SCHEMA {quoted(schema)};"
    if schema == "public":
        # The default of a new database. The operator sets other grants.
        yield "GRANT USAGE ON SCHEMA public TO PUBLIC;"


def _checks(schema: str, rows: dict[str, int]) -> Iterator[str]:
    """Yield statements that abort the transaction if a table has another number of rows."""
    for table, count in rows.items():
        name = quoted(schema, table)
        message = sql.Literal(f"{table} does not have its {count} rows").as_string(None)
        yield (
            f"DO $check$ BEGIN IF (SELECT count(*) FROM {name}) <> {count} "  # noqa: S608  # names are quoted
            f"THEN RAISE EXCEPTION USING MESSAGE = {message}; END IF; END $check$;"
        )


def _run_script(dump: Path, schema: str, before: list[str], after: list[str]) -> None:
    """Run `before`, the dump's script and `after` with psql in a transaction. Raises BackupError without a commit."""
    arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={client_programs.target()}", "--file=-"]
    failure = ""
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(  # noqa: S603  # a program found by name, arguments of our own
            [client_programs.program("psql"), *arguments],
            env=client_programs.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
        ) as psql,
    ):
        assert psql.stdin is not None
        try:
            _write(psql.stdin, ["BEGIN;", *before])
            _write_dump(dump, schema, psql.stdin)
            # The dump empties the session's search_path, and PgBouncer gives the session to its next client.
            _write(psql.stdin, [*after, "RESET ALL;", "COMMIT;"])
            psql.stdin.close()
        except BrokenPipeError:
            failure = "psql ended early"
        except BackupError as error:
            failure = str(error)
            psql.kill()
        code = psql.wait()
        errors.seek(0)
        output = errors.read().strip()
    if code or failure:
        raise BackupError(f"the dump could not be restored, and nothing was changed: {output or failure}")


def _write(script: IO[str], statements: list[str]) -> None:
    script.write("\n".join(statements) + "\n")
    script.flush()


def _write_dump(dump: Path, schema: str, script: IO[str]) -> None:
    with NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(_without_search_indexes(client_programs.run("pg_restore", "--list", str(dump))))
        chosen.flush()
        # --schema restores the contents of the schema, but does not create the schema.
        arguments = ["--no-owner", "--no-privileges", f"--schema={schema}", f"--use-list={chosen.name}", "--file=-"]
        client_programs.run("pg_restore", *arguments, str(dump), stdout=script)


def _without_search_indexes(listed: str) -> str:
    """Drop the search indexes from pg_restore's list: they need an extension that the target may not have."""
    names = {f"{table.name}_search" for table in searched_tables()}
    return "\n".join(line for line in listed.splitlines() if not (" INDEX " in line and names & {*line.split()}))
