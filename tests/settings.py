"""Settings of the service for tests in this process, with their own database and without the machine's environment."""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from tests import databases

_folder = Path(tempfile.mkdtemp(prefix="agent-router-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
for _name in ("ENV_FILE", "DEBUG", "TRUSTED_PROXIES", "METRICS_TOKEN", "JWT_SECRET_PREVIOUS"):
    os.environ.pop(_name, None)
os.environ |= {
    "APP_ENV": "test",
    "JWT_SECRET": secrets.token_hex(32),
    "DB_DSN": databases.new_dsn(_folder),
    "REDIS_URL": "",
    "RATE_LIMIT": "1000000/minute",
    "RATE_LIMIT_AUTH": "1000000/minute",
    "LOG_FORMAT": "json",
}

from agent_router.settings import *  # noqa: E402, F403
from agent_router.settings import DATABASES  # noqa: E402

if not databases.IS_POSTGRES:
    # A file, because each thread of the database pool has its own connection and must see the same data.
    DATABASES["default"]["TEST"] = {"NAME": str(_folder / "test.db")}
