"""Sharing architectures: one file each, found by itself. `names()` lists them, `get(name)` gives the class."""

from .base import Sharing, shelf

names, get = shelf.names, shelf.get
__all__ = ["Sharing", "get", "names"]
