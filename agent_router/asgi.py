"""The ASGI application: `uvicorn agent_router.asgi:application`."""

import gc
import os

import django
from django.conf import settings

from core.admin_site.loading import admin_loading
from core.left_out import modules_left_out

# What is made while the service is loaded stays. To look for garbage among it would be a tenth of the start, and a
# part of each collection ever after.
gc.disable()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
# pydantic would look for plugins in the metadata of every installed package; set it to nothing to have it do so.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
admin_loading.is_put_off = True
with modules_left_out():
    django.setup(set_prefix=False)

from agent_router.api import api  # noqa: E402
from agent_router.settings import env  # noqa: E402
from agent_router.urls import urlpatterns  # noqa: E402
from core.admin_site.overview.recent import recent  # noqa: E402
from core.auth.hashing import hashing  # noqa: E402
from core.auth.key_usage import key_usage  # noqa: E402
from core.auth.tokens import warm_up_tokens  # noqa: E402
from core.backup.watch import backup_watch  # noqa: E402
from core.database import database  # noqa: E402
from core.database.statistics import analyze_unknown_tables  # noqa: E402
from core.handler import Handler  # noqa: E402
from core.lifespan import lifespan  # noqa: E402
from core.logging import log_output  # noqa: E402
from core.metrics_sampler import sampler  # noqa: E402
from core.migrations_watch import migrations_watch  # noqa: E402
from core.open_files import open_files  # noqa: E402
from core.orphans import parent_watch  # noqa: E402
from core.ratelimit.checks import check_rate_limit_routes  # noqa: E402
from core.redis import redis  # noqa: E402
from core.routing import Router  # noqa: E402
from core.search.indexer import indexer  # noqa: E402
from core.tracing import tracing  # noqa: E402
from core.warm_up import warm_up  # noqa: E402
from core.wire import bound_connections  # noqa: E402

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
warm_up.jobs = [
    warm_up_tokens, analyze_unknown_tables, hashing.warm_up,
    *([admin_loading.warm_up] if settings.ADMIN_ENABLED else []),
]  # fmt: skip
application = Handler(router)
bound_connections()

gc.freeze()
gc.enable()
