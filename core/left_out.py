"""Keeps out of a worker what is imported for one name that it has no use for, or could have cheaper.

- ninja takes a signal from `django.test.signals`, which has it from `django.core.signals`. To import a module of
  `django.test` loads all of it: the test client, unittest, the command line, a twentieth part of the start.
- pydantic takes two functions from `importlib.metadata`, with zipfile and others behind it: to look for plugins, and a
  worker has it look for none (`PYDANTIC_DISABLE_PLUGINS` in agent_router/asgi.py), and for the version of a package
  that checks e-mail addresses.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from django.core import signals

METADATA = "importlib.metadata"


class _Metadata(ModuleType):
    """`importlib.metadata`, loaded when one of the two is called, or anything else of it is imported."""

    def entry_points(self, *values: Any, **named: Any) -> Any:
        return self.__getattr__("entry_points")(*values, **named)

    def version(self, *values: Any, **named: Any) -> Any:
        return self.__getattr__("version")(*values, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of the import system: it is no package
            raise AttributeError(name)
        if sys.modules.get(METADATA) is self:
            del sys.modules[METADATA]
        return getattr(importlib.import_module(METADATA), name)


@contextlib.contextmanager
def modules_left_out() -> Iterator[None]:
    """Within it, whoever imports these modules gets what stands in for them; after it, all is as ever."""
    stand_ins = {"django.test.signals": signals, METADATA: _Metadata(METADATA)}
    put_in = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(put_in)
    if METADATA in put_in:  # so that `import importlib.metadata` finds it, too
        importlib.metadata = put_in[METADATA]
    try:
        yield
    finally:
        for name, module in put_in.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if METADATA in put_in and vars(importlib).get("metadata") is put_in[METADATA]:
            del importlib.metadata
