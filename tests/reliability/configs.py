"""Random valid configurations on tiny data: every one trains to its end, or is refused by an
`InputError` that names a field before it has trained a step."""

import logging
import math
import random
import traceback
from collections import Counter
from typing import Any

from mtlstudy.errors import InputError
from mtlstudy.registry import entry, names, properties
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import fit
from reliability import Outcome

EMBEDDED = [name for name in names("data") if not entry("data", name).sources]
PAIRS = [
    (sharing, weighting)
    for sharing in names("sharing")
    for weighting in names("weighting")
    if weighting == "equal"
    or (family := entry("sharing", sharing)).bargains
    or (not family.independent and entry("weighting", weighting).needs == "losses")
]
CAP = {"train": 60, "features": 12, "batch_size": 80, "steps": 5, "width": 24, "depth": 4}
"""What a run's price grows with is drawn up to here; other whole numbers up to 8."""
ENDS = ("min", "max")
LATER = {"processes": 1, "sharded": False, "compile": False, "threads": 1}
"""Several processes and the compiler have tests of their own: they take seconds to start."""


def run(count: int, seed: int) -> Outcome:
    """Train `count` configurations, every pair of family and weighting in turn."""
    rng, ends = random.Random(seed), Counter[str]()
    level, pairs = logging.root.manager.disable, rng.sample(PAIRS, len(PAIRS))
    logging.disable(logging.CRITICAL)
    with store.empty():
        for i in range(count):
            fields = drawn(rng, *pairs[i % len(pairs)])
            ends[end(fields)] += 1
    logging.disable(level)
    good = {key: ends.pop(key, 0) for key in ("done", "diverged", "refused")}
    for said, n in ends.most_common():
        print(f"{n} times {said}", flush=True)
    return Outcome(count, sum(ends.values()), {**good, "pairs": min(count, len(PAIRS))})


def end(fields: dict[str, Any]) -> str:
    """How a configuration ends: "done", "diverged", "refused", or what is wrong with it."""
    try:
        config = RunConfig(**fields)
        path = store.root() / config.run_id
        run = fit(config, progress=False)
    except InputError as error:
        said, trained = str(error), "path" in locals() and (path / "checkpoint.pt").exists()
        named = any(key in said for key in words(fields)) and "\n" not in said
        return "refused" if named and not trained else f"refused late or unclearly: {said} {fields}"
    except Exception:  # noqa: BLE001  whatever else ends a run is what is looked for
        return f"{traceback.format_exc(limit=-2)} {fields}"
    results = run.record.get("results", {}).values()
    metrics = [one["metric"] for split in results for one in split.values()]
    if any(map(math.isinf, metrics)):
        return f"done with metrics {metrics} {fields}"
    return run.status


def words(fields: dict[str, Any]) -> set[str]:
    """The fields, options and tasks that a refusal may name."""
    options = (key for value in fields.values() if isinstance(value, dict) for key in value)
    return {*fields, *options}


def drawn(rng: random.Random, sharing: str, weighting: str) -> dict[str, Any]:
    """Fields of a run of these two."""
    fields: dict[str, Any] = {"sharing": sharing, "weighting": weighting, **LATER}
    fields["data"] = rng.choice([*EMBEDDED, *["synthetic"] * len(EMBEDDED)])
    for name, schema in properties(RunConfig).items():
        if name not in fields and not name.endswith("_options") and name != "device":
            fields[name] = value(rng, name, schema, 1)
    fields["evaluations"] = rng.randint(1, fields["steps"])
    fields["seed"] = rng.choice([0, 1, 1000, 2**31 - 1])
    fields["backbone"] = rng.choice([*["auto"] * 9, fields["backbone"]])
    fields["accumulate"] = min(fields["accumulate"], rng.choice([1, fields["batch_size"]]))
    tasks = 3
    for kind in ("data", "sharing", "weighting"):
        schemas = properties(entry(kind, fields[kind]).Options)
        chosen = {n: value(rng, n, s, tasks) for n, s in schemas.items() if rng.random() < 0.6}
        fields[f"{kind}_options"] = chosen
        if kind == "data":
            chosen |= {"train": rng.randint(10, 60)} if "train" in schemas else {}
            cls = entry(kind, fields[kind])
            tasks = len(cls(cls.Options.parse("", chosen)).tasks)
    return fields


def value(rng: random.Random, name: str, schema: dict[str, Any], tasks: int) -> Any:
    """What a field's JSON schema allows: often its default, at times an end of its range."""
    if "default" in schema and name not in CAP and rng.random() < 0.3:
        return schema["default"]
    if "anyOf" in schema:
        return value(rng, name, rng.choice(schema["anyOf"]), tasks)
    if "enum" in schema or "const" in schema:
        return rng.choice(schema.get("enum") or [schema["const"]])
    kind = schema.get("type")
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "array":
        return [value(rng, name, schema["items"], tasks) for _ in range(tasks)]
    if kind == "object":
        return {f"task{t}": rng.randint(1, 2) for t in range(1, rng.randint(1, 3))}
    if kind == "integer":
        low = schema["minimum"]
        high = min(schema.get("maximum", math.inf), max(low, CAP.get(name, 8)))
        return rng.choice([low, high, rng.randint(low, high), rng.randint(low, high)])
    if kind == "number":
        return number(rng, schema)
    return None


def number(rng: random.Random, schema: dict[str, Any]) -> float:
    """A number within bounds: an end or near an open one, or between."""
    low, high = (schema.get(f"{s}imum", schema.get(f"exclusive{s.title()}imum")) for s in ENDS)
    near_low = low if "minimum" in schema else low + 1e-12
    near_high = high if "maximum" in schema else high - 1e-12
    inner = low + min(high - low, 1.0) * 10 ** rng.uniform(-4, 0) * (1 - 1e-9)
    return rng.choice([near_low, near_high, *[inner] * 6])
