"""Hypothesis settings for a busy machine: no deadline for an example."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
