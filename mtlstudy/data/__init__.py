"""Data sets: one file each, found by itself. `names()` lists them, `get(name)` gives the class."""

from mtlstudy.data.base import Data, Split, Splits, registry

names, get = registry.names, registry.get
__all__ = ["Data", "Split", "Splits", "get", "names"]
