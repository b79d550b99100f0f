"""PostgreSQL: a dump into the schema of the configured database, all of it in one transaction or not at all.

The schema that is there is renamed, the dump goes into a new one of its name. So it takes no more rights than the
service has anyway, the settings and grants of the database stay, and up to the commit nothing has happened.
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
from core.operations.backup.postgresql import quoted, schema_name
from core.resources.search import building
from core.resources.search.tables import searched_tables

LEAVING_SECONDS = 5.0


def restore(backup: Backup, aside: str, forgotten: list[str], *, force: bool) -> str:
    """Restores a dump, and returns the schema that the old tables are kept in ("" if there were none).

    `forgotten` are tables to be emptied. Raises BackupError with everything as it was.
    """
    try:
        schema, has_tables = schema_name(), _has_tables()
        if has_tables and not force:
            raise BackupError("the database has tables: --force restores in their place and keeps them in a schema")
        _refuse_users()
        old = f"{schema}_{aside}" if has_tables else ""
        after = [*_checks(schema, backup.manifest.rows), *_deletions(schema, forgotten)]
        _run_script(backup.data, schema, list(_preparations(schema, old)), after)
        # It is restored: what fails from here on (a statement_timeout of the role's) does not undo it.
        with suppress(DatabaseError):
            _make_quick()
    except DatabaseError as error:
        raise BackupError(f"the database cannot be restored to: {str(error).strip()}") from error
    finally:
        connections.close_all()
    return old


def _make_quick() -> None:
    """The planner knows nothing of what has just come, and the indexes of searches are in no dump."""
    for table in searched_tables():
        # Where there can be none, the doctor tells.
        building.build(table)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _has_tables() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema())")
        return bool(cursor.fetchone()[0])


def _refuse_users() -> None:
    """Raises BackupError while the service is connected. The server notices within moments that a process has gone."""
    deadline = time.monotonic() + LEAVING_SECONDS
    while count := _count_users():
        if time.monotonic() > deadline:
            pooled = (
                "; RECONNECT in PgBouncer's console then ends what it keeps" if settings.DB_BEHIND_PGBOUNCER else ""
            )
            raise BackupError(
                f"the database is in use ({count} connections): end the service first, all of its processes{pooled}"
            )
        time.sleep(0.1)


def _count_users() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND application_name = current_setting('application_name') AND application_name <> ''"
        )
        [count] = cursor.fetchone()
    return int(count)


def _preparations(schema: str, old: str) -> Iterator[str]:
    if old:
        yield f"ALTER SCHEMA {quoted(schema)} RENAME TO {quoted(old)};"
        yield f"CREATE SCHEMA {quoted(schema)};"
    if schema == "public":
        # As initdb leaves it; other grants are for whoever runs the database.
        yield "GRANT USAGE ON SCHEMA public TO PUBLIC;"


def _checks(schema: str, rows: dict[str, int]) -> Iterator[str]:
    """Statements that fail, and so undo everything, unless each table has the rows that it had."""
    for table, count in rows.items():
        name = sql.Identifier(schema, table).as_string(None)
        wrong = sql.Literal(f"{table} has not the {count} rows that it had").as_string(None)
        yield (
            f"DO $check$ BEGIN IF (SELECT count(*) FROM {name}) <> {count} "  # noqa: S608  # names are quoted
            f"THEN RAISE EXCEPTION USING MESSAGE = {wrong}; END IF; END $check$;"
        )


def _deletions(schema: str, tables: list[str]) -> Iterator[str]:
    for table in tables:
        yield f"DELETE FROM {sql.Identifier(schema, table).as_string(None)};"  # noqa: S608  # names are quoted


def _run_script(dump: Path, schema: str, before: list[str], after: list[str]) -> None:
    """Has psql run a dump's own script between ours. Without the COMMIT at its end all of it is undone."""
    arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={client_programs.target()}", "--file=-"]
    refusal = ""
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
            # The dump has emptied search_path, for the session: PgBouncer gives that to the next client.
            _write(psql.stdin, [*after, "RESET ALL;", "COMMIT;"])
            psql.stdin.close()
        except BrokenPipeError:
            refusal = "psql ended early"
        except BackupError as error:
            refusal = str(error)
            psql.kill()
        code = psql.wait()
        errors.seek(0)
        said = errors.read().strip()
    if code or refusal:
        raise BackupError(f"the dump could not be restored, and nothing was changed: {said or refusal}")


def _without_search_indexes(listed: str) -> str:
    """What a dump holds, but for what needs an extension that not every database has. It is made anew afterwards."""
    names = {f"{table.name}_search" for table in searched_tables()}
    return "\n".join(line for line in listed.splitlines() if not (" INDEX " in line and names & {*line.split()}))


def _write(script: IO[str], statements: list[str]) -> None:
    script.write("\n".join(statements) + "\n")
    script.flush()


def _write_dump(dump: Path, schema: str, script: IO[str]) -> None:
    """Writes what pg_restore makes of a dump. Raises BackupError if pg_restore could not read all of it."""
    with NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(_without_search_indexes(client_programs.run("pg_restore", "--list", str(dump))))
        chosen.flush()
        # With --schema what is in the schema, and not the schema itself.
        arguments = ["--no-owner", "--no-privileges", f"--schema={schema}", f"--use-list={chosen.name}", "--file=-"]
        done = subprocess.run(  # noqa: S603  # a program found by name, arguments of our own
            [client_programs.program("pg_restore"), *arguments, str(dump)],
            stdout=script,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise BackupError(f"pg_restore failed: {done.stderr.strip()}")
