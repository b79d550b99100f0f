"""The cache of representations in Redis. Reasons and figures: docs/decisions/0004-cache-epoch.md."""
