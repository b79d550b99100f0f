"""A streaming replica of a PostgreSQL server for tests, created by pg_basebackup."""

import time

from tests.postgres_server import START_SECONDS, PostgresServer


class PostgresReplica(PostgresServer):
    """`with PostgresReplica(primary) as replica: … replica.dsn(name)`. Only the port of its DSNs differs."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self.primary, self.password = primary, primary.password

    def create(self) -> None:
        """Copy the files of the primary. Later changes are streamed."""
        source = ("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "app")
        self.run("pg_basebackup", *source, "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def twin(self, dsn: str) -> str:
        """Return the DSN of the replica's copy of a database."""
        return dsn.replace(f":{self.primary.port}/", f":{self.port}/")

    def pause_replay(self) -> None:
        """Stop applying changes, and wait until that has happened. The replica keeps serving reads."""
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            deadline = time.monotonic() + START_SECONDS
            while connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
                assert time.monotonic() < deadline, self.log
                time.sleep(0.01)

    def resume_replay(self) -> None:
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        with self.connect() as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
