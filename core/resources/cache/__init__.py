"""Representations of resources in Redis, never older than a change that was acknowledged.

An entry is `epoch:version:mark:owner:body`. A reader that finds none leaves its mark, looks into the database, and
fills in if its mark is still there. A change puts its mark in place of the entry before it commits, and the new
representation in place of its mark after: so a reader that fetched the old row before the commit cannot put it back,
not even into a Redis that was emptied meanwhile, and a process that is killed between commit and cache leaves a mark,
which expires. A change that cannot do both, be it that Redis is lost or that it was made by the ORM, turns the epoch
before it is acknowledged, and with that makes all entries void. Without Redis nothing is cached.

Reading order: `representations` (what services call), `scripts` (what is atomic in Redis), `epoch`.
"""
