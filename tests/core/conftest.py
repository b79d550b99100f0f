"""Hypothesis for a machine that has other things to do as well: no example is too slow for it."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
