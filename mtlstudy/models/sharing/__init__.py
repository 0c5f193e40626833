"""Sharing architectures: one file each. `names()` lists them, `get(name)` gives the class."""

from mtlstudy.models.sharing.base import Sharing, registry

names, get = registry.names, registry.get
__all__ = ["Sharing", "get", "names"]
