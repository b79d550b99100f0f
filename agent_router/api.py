"""The API: the router of each resource with its path."""

from django.conf import settings

from core.api.ninja_api import API
from core.auth.api.router import router as auth
from core.http.paths import API_PREFIX
from items.api import router as items

api = API(title=settings.APP_NAME, version=settings.APP_VERSION)
api.add_router(f"{API_PREFIX}items", items)
api.add_router(f"{API_PREFIX}auth", auth)
