"""The admin's front page: health, traffic, rate limits, Redis and the database at a glance.

`figures` reads numbers from the metrics, `recent` keeps those of the last minutes, `panels` builds the page.
"""
