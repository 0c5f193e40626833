"""Named benchmarks: the data sets that are run together, each with a model of its own."""

BENCHMARKS = {
    "korean_sentences": ("korean_sentences",),
    "korean_tagging": ("korean_tagging",),
    "vision_pairs": ("multi_mnist_full", "multi_fashion", "fashion_mnist_pairs"),
    "molecules": ("qm8", "tox21"),
    "census": ("adult",),
}
"""Benchmark → its data sets. `mtlstudy run --data NAME` takes a benchmark as well and runs each of its sets."""
