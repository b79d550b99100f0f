"""How many files and connections the process may have open.

Shells and container engines often start processes with 1,024, though they may have more; each client's connection is
one. Beyond the limit the server closes new connections at once, and those that are open go on.
"""

import logging
import resource

WANTED = 65_536

logger = logging.getLogger("agent_router.open_files")


class OpenFiles:
    """A resource of the lifespan."""

    async def open(self) -> None:
        """Raises this process's limit to WANTED, or as far as it may be raised."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # the system has yet another limit
            logger.warning("The limit of open files stays at %d: %s", soft, error)

    async def close(self) -> None:
        """The process ends with its limit."""


open_files = OpenFiles()
