"""Data sets: one file each, found by itself. `names()` lists them, `get(name)` gives the class."""

from .base import Data, Split, Splits, shelf

names, get = shelf.names, shelf.get
__all__ = ["Data", "Split", "Splits", "get", "names"]
