"""When the admin's modules are loaded: at once by commands and tests, by a worker beside its first requests.

They are a tenth of what there is to load, and no request of the API needs them.
"""

import asyncio
from importlib import import_module


class AdminLoading:
    """`is_put_off` is set by whoever serves, before Django is set up, and sees to the loading."""

    def __init__(self) -> None:
        self.is_put_off = False

    def load(self) -> None:
        """Loads them unless that has been done: tens of milliseconds, not for the event loop.

        Of several threads the first does it, and the others wait: an import has a lock.
        """
        import_module("core.admin_site.urls")

    async def warm_up(self) -> None:
        """Loads them in a thread."""
        await asyncio.to_thread(self.load)


admin_loading = AdminLoading()
