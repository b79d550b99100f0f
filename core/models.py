"""The models of what every resource needs."""

from django.db import models


class IdempotencyRecord(models.Model):
    """The answer to the request that an Idempotency-Key stands for. See `core.resources.idempotency`."""

    scope_digest = models.CharField(
        primary_key=True, max_length=64, help_text="SHA-256 of the principal, method, path and key."
    )
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of the body, its type and the query.")
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    location = models.CharField(max_length=200)
    etag = models.CharField(max_length=40)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "idempotency_record"
        ordering = ("-expires_at",)

    def __str__(self) -> str:
        return self.scope_digest


class Operations(models.Model):  # noqa: DJ008  # there are none to show
    """No table: what there is to see of the service itself, for a permission."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("view_operations", "Can see traffic, limits, Redis and the database on the front page"),)


class CacheEpoch(models.Model):
    """The one row that says which entries of the cache are good. See `core.resources.cache.epoch`."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    token = models.CharField(max_length=16, help_text="What the entries of the epoch begin with.")
    redis_run_id = models.CharField(max_length=40, help_text="The Redis server that holds them.")

    class Meta:
        db_table = "cache_epoch"

    def __str__(self) -> str:
        return self.token
