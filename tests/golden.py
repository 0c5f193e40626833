"""Golden numbers: a few steps of every entry of every registry, with the version they belong to.

`python tests/golden.py` writes tests/golden.json anew. It refuses numbers that moved where the
version did not: runs that were made before would pass for runs of the present code.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mtlstudy import RunConfig, nash
from mtlstudy.models.backbones import cnn, mlp, text_cnn, transformer
from mtlstudy.registry import entry, names
from mtlstudy.training import identity
from mtlstudy.training.loop import Training, torch_settings

FILE = Path(__file__).with_name("golden.json")
COMMAND = "python tests/golden.py"
STEPS = 4
SMALL: dict[str, Any] = {
    "data": "synthetic",
    "data_options": {"tasks": 3, "train": 60, "inputs": 6},
    "steps": STEPS,
    "evaluations": 1,
    "width": 8,
    "batch_size": 20,
    "lr": 0.01,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "hierarchical": {"sharing_options": {"depths": {"task1": 1}}},
    "soft": {"sharing_options": {"strength": 0.1}},  # a penalty that can be seen
    "trace_norm": {"sharing_options": {"strength": 0.1}},
    "sluice": {"sharing_options": {"orthogonality": 0.1}},
    "sparse": {"sharing_options": {"search": 1.0}},
    "recon": {"sharing_options": {"search": 1.0}},
    "tag": {"data_options": {"tasks": 4, "train": 60, "inputs": 6}},  # three tasks stay together
    "static": {"weighting_options": {"weights": [0.2, 0.5, 0.3]}},
    "diabetes": {"data_options": {}},
    "multi_mnist": {"data_options": {}},
    "toy": {"data_options": {}},
    "yeast": {"data_options": {}},
}
"""What an entry's run needs beside `SMALL`."""
RELATIVE = 1e-3
"""How far numbers may lie apart: another processor rounds otherwise, and Adam enlarges that."""


def steps(**fields: Any) -> list[float]:
    """Of some training steps: the losses, and the length of the gradients that were used."""
    config = RunConfig(**{**SMALL, **fields})
    numbers: list[float] = []
    with TemporaryDirectory() as folder, torch_settings(config):
        state = Training(config, Path(folder) / "run")
        for _ in range(config.steps):
            result = state.advance(observe=False)
            grads = [p.grad.flatten() for p in state.model.parameters() if p.grad is not None]
            numbers += [*result.losses.tolist(), float(torch.linalg.vector_norm(torch.cat(grads)))]
    return numbers


def training() -> list[float]:
    """Of a whole run with dropout: what is recorded, selected and measured; of every backbone: its
    outputs."""
    config = RunConfig(**SMALL, dropout=0.2).but(steps=4, evaluations=2)
    with TemporaryDirectory() as folder, torch_settings(config):
        path = Path(folder) / "run"
        run = Training(config, path).run(progress=False)
        assert run is not None
        measured = run.record["results"]
        numbers = [
            task[key]
            for split in measured.values()
            for task in split.values()
            for key in ("loss", "metric")
        ]
        numbers += [line["score"] for line in run.evaluations()]
        numbers += [sum(line["losses"]) for line in run.observations()]
        torch.manual_seed(0)
        words = torch.randint(30, (3, 9))
        for backbone, x in (
            (mlp(6, 8), torch.randn(3, 6)),
            (cnn((1, 16, 16), 8), torch.randn(3, 1, 16, 16)),
            (text_cnn(30, 8), words),
            (text_cnn(30, 8, tokens=True), words),
            (transformer(30, 9, 8), words),
            (transformer(30, 9, 8, tokens=True), words),
        ):
            z: Any = x
            for stage in backbone.stages:
                z = stage.build()(z)
            numbers += [z.sum().item(), torch.linalg.vector_norm(z).item()]
    return numbers


def solver() -> list[float]:
    """Of the bargaining solver: weights on scaled, correlated gradients, and with powers."""
    J = torch.linspace(-1, 1, 28, dtype=torch.float64).view(4, 7).sin() + torch.eye(4, 7).double()
    M = torch.diag(torch.tensor([1.0, 10.0, 0.1, 1.0]).double()) @ J
    M = M @ M.mT
    powers = torch.tensor([1.0, 2.0, 0.5, 1.0])
    return [*nash.nash_weights(M).weights.tolist(), *nash.nash_weights(M, powers).weights.tolist()]


def entries() -> dict[str, tuple[int, str, Callable[[], list[float]]]]:
    """Entry → its version, where that is raised, and what gives its numbers."""
    found: dict[str, tuple[int, str, Callable[[], list[float]]]] = {
        "training": (identity.LOOP, "LOOP in mtlstudy/training/identity.py", training),
        "solver": (nash.VERSION, "VERSION in mtlstudy/nash/__init__.py", solver),
    }
    for kind in ("data", "sharing", "weighting"):
        for name in names(kind):
            cls = entry(kind, name)
            if kind == "data" and cls.sources:
                continue  # needs files
            fields = {kind: name, **OPTIONS.get(name, {})}
            where = f"version in {cls.__module__.replace('.', '/')}.py"
            found[f"{kind}.{name}"] = (cls.version, where, lambda fields=fields: steps(**fields))
    return found


def moved(numbers: list[float], golden: list[float]) -> bool:
    """Whether numbers are others than they were."""
    return len(numbers) != len(golden) or not all(
        math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-5)
        for a, b in zip(numbers, golden, strict=True)
    )


def read() -> dict[str, dict[str, Any]]:
    """The golden numbers."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def fault(name: str, version: int, where: str, numbers: list[float]) -> str:
    """What is wrong with an entry's golden numbers, in one line; "" where nothing is."""
    known = read().get(name)
    if known is None:
        return f"{name} has no golden numbers: `{COMMAND}`"
    if known["version"] != version:
        was = f"its golden numbers are of version {known['version']}"
        return f"{name} has version {version} and {was}: `{COMMAND}`"
    if moved(numbers, known["numbers"]):
        return f"{name}: numbers moved: raise {where}, then `{COMMAND}`"
    return ""


def main() -> str:
    """Write the file anew; what was refused, one line an entry."""
    golden, refused = {}, []
    known = read()
    for name, (version, where, compute) in entries().items():
        numbers = [float(f"{x:.6g}") for x in compute()]
        golden[name] = {"version": version, "numbers": numbers}
        old = known.get(name)
        if old and old["version"] == version:
            golden[name] = old
            if moved(numbers, old["numbers"]):
                refused.append(
                    f"{name}: numbers moved under version {version}: raise {where} first"
                )
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(golden.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return "\n".join(refused)


if __name__ == "__main__":
    sys.exit(main())
