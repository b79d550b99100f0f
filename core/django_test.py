"""Keeps Django's test client out of a worker.

ninja takes one signal from `django.test.signals`, which has it from `django.core.signals`. To import a module of
`django.test` loads all of it: the test client, unittest, the command line, a twentieth part of the start.
"""

import contextlib
import sys
from collections.abc import Iterator

from django.core import signals

NAME = "django.test.signals"


@contextlib.contextmanager
def django_test_left_out() -> Iterator[None]:
    """Within it, whoever imports `django.test.signals` gets `django.core.signals`; after it, all is as ever."""
    if NAME in sys.modules:  # in a process of tests
        yield
        return
    sys.modules[NAME] = signals
    try:
        yield
    finally:
        del sys.modules[NAME]
