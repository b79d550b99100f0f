"""The life of a process: startup, background tasks, draining and shutdown."""
