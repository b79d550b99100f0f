"""The purges: one for each kind of row that expires."""

from core.auth.purgers import PURGERS, Purge
from core.resources import idempotency

# By a plural that people read.
PURGES: dict[str, Purge] = {"idempotency records": idempotency.purge, **PURGERS}
