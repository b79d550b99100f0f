"""The API: the router of each resource with its path."""

from django.conf import settings

from core.api.ninja_api import API
from core.auth.api.router import router as auth
from items.api import router as items

api = API(title=settings.APP_NAME, version=settings.APP_VERSION)
api.add_router("/v1/items", items)
api.add_router("/v1/auth", auth)
