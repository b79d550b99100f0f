"""The service's version: the one of pyproject.toml, which a test holds equal."""

VERSION = "0.1.0"
