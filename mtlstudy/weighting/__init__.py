"""Weightings: one file each, found by itself. `names()` lists them, `get(name)` gives the class."""

from .base import LossWeighting, Weighting, Weights, shelf

names, get = shelf.names, shelf.get
__all__ = ["LossWeighting", "Weighting", "Weights", "get", "names"]
