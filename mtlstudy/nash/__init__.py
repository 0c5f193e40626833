"""Nash bargaining weights, solved exactly: `nash_weights(M)` gives a with M a = 1 / a, or a named
status."""

from mtlstudy.nash.newton import nash_weights
from mtlstudy.nash.solution import BargainingSolution, Status

VERSION = 1
"""Raised whenever the solver's numbers change: it enters the identity of every run that uses it."""

__all__ = ["VERSION", "BargainingSolution", "Status", "nash_weights"]
