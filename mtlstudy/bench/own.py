"""What one writes for one's own model: a step by `mtlstudy.Balancer` beside the study's own `Step`,
torchjd and peers, on small models, where all that is not differentiation counts most.

Parts "own_mlp" and "own_cnn" (see `problems`); the schema and what is measured are those of the
benchmark "step", the ratio is to `nash_sequential`, which is `Step`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from mtlstudy.bench.methods import THEIRS, available
from mtlstudy.bench.peers import Peer
from mtlstudy.bench.problems import make
from mtlstudy.bench.step import ROUNDS, measured
from mtlstudy.study import benchmarks

SIZES = {"own_mlp": (2, 14), "own_cnn": (2, 8)}
BASELINE = dict.fromkeys(SIZES, "nash_sequential")
TIMED = ("equal", "backward_equal", "nash_sequential", "backward", *THEIRS)


def run(
    profile: str, device: str = "cpu", peers: Sequence[Peer] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark, and what was left out."""
    notes, rows = list[str](), list[dict[str, Any]]()
    found = available(peers, [])
    methods = {name: found[name] for name in (*TIMED, *(peer.method for peer in peers))}
    for part, sizes in SIZES.items():
        for K in sizes:
            fresh = partial(make, part, K, device=device)
            rows += measured(part, fresh, methods, ROUNDS[profile], BASELINE[part], notes)
    return benchmarks.frame(rows), list(dict.fromkeys(notes))
