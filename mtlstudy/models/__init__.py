"""Stages, tasks, and the sharing families over them."""
