"""Representations of resources in Redis, never older than a change that was acknowledged.

An entry is `epoch:version:mark:owner:body`. It is filled in when it is read. A change puts its mark in place of the
entry before it commits, and the new representation in place of its mark after. While there is a mark nobody fills
in, and nobody ever fills in an older version: so a reader that fetched the old row before the commit cannot put it
back, and a process that is killed between commit and cache leaves a mark, which expires. A change that cannot do
both, be it that Redis is lost or that it was made by the ORM, turns the epoch before it is acknowledged, and with
that makes all entries void. Without Redis nothing is cached.

Reading order: `representations` (what services call), `scripts` (what is atomic in Redis), `epoch`.
"""

from core.cache.epoch import turn_on_commit
from core.cache.representations import Representation, RepresentationCache, prefetch

__all__ = ["Representation", "RepresentationCache", "prefetch", "turn_on_commit"]
