"""The study's experiments: one file each, computing tidy tables and the values that the texts quote."""

from . import base

__all__ = ["base"]
