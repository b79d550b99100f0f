"""The ASGI application: `uvicorn agent_router.asgi:application`."""

import gc
import os

import django

# What is made while the service is loaded stays. To look for garbage among it would be a tenth of the start, and a
# part of each collection ever after.
gc.disable()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
django.setup(set_prefix=False)

from agent_router.api import api  # noqa: E402
from agent_router.settings import env  # noqa: E402
from agent_router.urls import urlpatterns  # noqa: E402
from core.admin_site.overview.recent import recent  # noqa: E402
from core.auth.credentials.key_usage import key_usage  # noqa: E402
from core.auth.passwords.hashing import hashing  # noqa: E402
from core.database.pool import database  # noqa: E402
from core.database.table_statistics import analyze_unknown_tables  # noqa: E402
from core.http.routing import Router  # noqa: E402
from core.operations.backup.watch import backup_watch  # noqa: E402
from core.operations.metrics_sampler import sampler  # noqa: E402
from core.operations.migrations_watch import migrations_watch  # noqa: E402
from core.process.lifespan import lifespan  # noqa: E402
from core.process.open_files import open_files  # noqa: E402
from core.process.parent_watch import parent_watch  # noqa: E402
from core.process.warm_up import warm_up  # noqa: E402
from core.ratelimit.checks import check_rate_limit_routes  # noqa: E402
from core.redis.client import redis  # noqa: E402
from core.resources.search.indexer import indexer  # noqa: E402
from core.server.connection import bound_connections  # noqa: E402
from core.server.handler import Handler  # noqa: E402
from core.telemetry.logs import log_output  # noqa: E402
from core.telemetry.tracing import tracing  # noqa: E402

# Only now are there routes to hold the setting against.
for error in check_rate_limit_routes():
    env.refuse("RATE_LIMIT_ROUTES", error.msg.removeprefix("RATE_LIMIT_ROUTES: "))
env.finish()

router = Router()
router.add_operations(api.operations())
router.add_views(urlpatterns)

# Opened in this order and closed in reverse: whoever logs or writes is closed before what it needs.
lifespan.resources = [
    log_output, open_files, tracing, database, redis, hashing, key_usage, indexer, backup_watch, migrations_watch,
    sampler, recent, parent_watch, warm_up,
]  # fmt: skip
warm_up.jobs = [analyze_unknown_tables]
application = Handler(router)
bound_connections()

gc.freeze()
gc.enable()
