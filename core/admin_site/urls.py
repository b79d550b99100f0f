"""The admin's pages. Django's resolver imports this module with the first path that it finds below /admin/."""

from django.contrib import admin

admin.autodiscover()
urlpatterns = admin.site.get_urls()
