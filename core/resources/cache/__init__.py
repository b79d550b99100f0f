"""The cache of representations in Redis. An entry is never older than an acknowledged change.

Reading order: `representations` (the cache as the store sees it), `scripts` (the atomic steps in Redis), `epoch` (how
entries become invalid when a change could not reach Redis). docs/decisions/0004-cache-epoch.md gives the reasons.
"""
