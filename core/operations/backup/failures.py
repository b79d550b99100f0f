"""The exception of all backup commands."""


class BackupError(Exception):
    """A backup cannot be created, is damaged, or cannot be restored here. The text is for the operator."""
