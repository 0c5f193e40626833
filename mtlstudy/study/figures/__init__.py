"""Figures from tidy frames: each function returns a matplotlib Figure."""
