# The service and Litestream in one container, for hosts that run a single container. The first start restores the
# database, and Litestream replicates it from then on. Kubernetes uses a sidecar: deploy/kubernetes/overlays/sqlite.
#
#   docker build --tag agent-router .
#   docker build --tag agent-router-litestream --file deploy/litestream.Dockerfile deploy
#   docker run --env JWT_SECRET --env LITESTREAM_REPLICA_URL=s3://… --volume data:/app/data … agent-router-litestream

ARG SERVICE_IMAGE=agent-router:latest

FROM litestream/litestream:0.5.17 AS litestream

# hadolint ignore=DL3006
FROM ${SERVICE_IMAGE}

COPY --from=litestream /usr/local/bin/litestream /usr/local/bin/litestream
COPY litestream.yml /etc/litestream.yml
COPY --chmod=0755 serve-replicated.sh /usr/local/bin/serve-replicated

ENV LITESTREAM_DATABASE=/app/data/app.db \
    DB_DSN=sqlite:////app/data/app.db

EXPOSE 8000 9090

CMD ["serve-replicated"]
