"""What goes wrong with backups, in words for whoever typed the command."""


class BackupError(Exception):
    """A backup could not be made, is no good, or may not be restored here."""
