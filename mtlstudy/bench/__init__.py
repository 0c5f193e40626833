"""The benchmarks: what the exact solver, a training step, the whole loop and larger problems cost beside their peers.

Every figure is a ratio measured in one run: the methods are timed in turns, in an order that changes every round, so that a
machine that slows down slows all of them. Each module has `BASELINE`, part → the method that the others of it are held to, and
`run(profile, device, peers)` → a frame of `record.COLUMNS` and its notes. Written by `mtlstudy bench`, see `record`.
"""

BENCHES = ("solver", "step", "train", "scale")
