"""The benchmarks: what solver, training step, whole loop and larger problems cost beside others.

Every figure is a ratio measured in one run: the methods are timed in turns, in an order that
changes every round, so that a machine that slows down slows all of them. Each module has
`BASELINE`, part → the method that the others of it are held to, and `run(profile, device, peers)`
→ a frame (see `mtlstudy.study.benchmarks`) and its notes. `mtlstudy bench` writes them: `record`.
"""
