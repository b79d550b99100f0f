"""Health, metrics, the doctor, backups and purges: the tools of operators."""
