"""The admin's front page: health, traffic, limits, Redis and the database at a glance.

Reading order: `figures` (numbers out of the metrics), `recent` (those of the last minutes), `panels` (what is shown).
"""
