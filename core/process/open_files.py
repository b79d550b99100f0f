"""The limit of open files. Each connection needs one, and many systems start processes with a limit of 1,024."""

import logging
import resource

WANTED = 65_536

logger = logging.getLogger("agent_router.open_files")


class OpenFiles:
    """Raises the process's soft limit to WANTED, or as far as its hard limit allows."""

    async def open(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # Some systems, such as macOS, have a further limit.
            logger.warning("The limit of open files stays at %d: %s", soft, error)

    async def close(self) -> None:
        """Keep the limit, which ends with the process."""
