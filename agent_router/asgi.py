"""The ASGI application: `uvicorn agent_router.asgi:application`."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
django.setup(set_prefix=False)

from agent_router.api import api
from agent_router.settings import env
from agent_router.urls import urlpatterns
from core.admin_site.overview.recent import recent
from core.auth.credentials.key_usage import key_usage
from core.auth.passwords.hashing import hashing
from core.database.pool import database
from core.database.table_statistics import analyze_unknown_tables
from core.http.routing import Router
from core.operations.backup.watch import BackupWatch
from core.operations.metrics_sampler import sampler
from core.operations.migrations_watch import MigrationsWatch
from core.process.lifespan import Lifespan
from core.process.open_files import OpenFiles
from core.process.parent_watch import ParentWatch
from core.process.warm_up import WarmUp
from core.ratelimit.checks import check_rate_limit_routes
from core.redis.client import redis
from core.resources.search.indexer import indexer
from core.server.handler import Handler
from core.telemetry.logs import LogOutput
from core.telemetry.tracing import tracing

# RATE_LIMIT_ROUTES can be checked only now that the routes exist.
for error in check_rate_limit_routes():
    env.refuse("RATE_LIMIT_ROUTES", error.msg.removeprefix("RATE_LIMIT_ROUTES: "))
env.finish()

router = Router()
router.add_operations(api.operations())
router.add_views(urlpatterns)

# Opened in this order and closed in reverse order, so that each component closes before those it depends on.
lifespan = Lifespan([
    LogOutput(),
    OpenFiles(),
    tracing,
    database,
    redis,
    hashing,
    key_usage,
    indexer,
    BackupWatch(),
    MigrationsWatch(),
    sampler,
    recent,
    ParentWatch(),
    WarmUp([analyze_unknown_tables]),
])  # fmt: skip
application = Handler(router, lifespan)

# Garbage collections during requests skip everything that was created so far.
gc.freeze()
