# The service as one small image: no compiler, no pip cache, no secret, an unprivileged user, and a root file system
# that may be read-only. Settings are environment variables: see env.example.

FROM python:3.13.12-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

COPY requirements.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --require-hashes --no-compile --requirement /requirements.txt \
    && /venv/bin/pip check \
    && /venv/bin/pip uninstall --yes --quiet pip

WORKDIR /app
COPY . /app
# At run time the file system may be read-only. Unchecked hashes keep a .pyc valid whatever the times of copied files.
RUN python -m compileall -q --invalidation-mode unchecked-hash -j 0 /venv/lib /app


FROM python:3.13.12-slim-trixie

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Volumes and Kubernetes' runAsNonRoot need a fixed user id. data/ is for SQLite's files: mount a volume there.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app --mode 0700 /app/data

COPY --from=build /venv /venv
COPY --from=build /app /app

WORKDIR /app
USER 10001:10001
VOLUME /app/data
EXPOSE 8000

# Any status below 500 shows that the process answers: the status is 400 if ALLOWED_HOSTS lacks 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status >= 500)"]

# Exec form: the server is process 1 and receives the signals. WORKERS sets the number of workers.
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
