# The service's image with PostgreSQL's client programs, for manage.py backup and restore.
#
#   docker build --tag agent-router .
#   docker build --tag agent-router-operations --file deploy/operations.Dockerfile deploy
#   docker run --rm --env JWT_SECRET --env DB_DSN --volume backups:/backups agent-router-operations

ARG SERVICE_IMAGE=agent-router:latest

# hadolint ignore=DL3006
FROM ${SERVICE_IMAGE}

USER 0
# Of the same major version as the server in docker-compose.yml, or newer. Debian keeps no older builds to pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner app --group app --mode 0700 /backups
USER 10001:10001

ENV BACKUP_DIR=/backups
VOLUME /backups
HEALTHCHECK NONE

CMD ["python", "manage.py", "backup", "--keep", "14"]
