"""The study's experiments: one file each, computing tidy tables and the values that the texts quote."""

from . import base, performance

__all__ = ["base", "performance"]
