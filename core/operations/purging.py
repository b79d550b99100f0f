"""The functions that delete expired rows, by the name that `manage.py purge_expired` prints."""

from core.auth.purgers import PURGERS, Purge
from core.resources import idempotency

PURGES: dict[str, Purge] = {"idempotency records": idempotency.purge, **PURGERS}
