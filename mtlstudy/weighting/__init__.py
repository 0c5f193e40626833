"""Weightings. `names()` lists them, `get(name)` gives the class."""

from mtlstudy.weighting.base import LossWeighting, Weighting, Weights, registry

names, get = registry.names, registry.get
__all__ = ["LossWeighting", "Weighting", "Weights", "get", "names"]
