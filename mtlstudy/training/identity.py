"""Which run a configuration names: by meaning, not by the text of the code.

    run_id = hash of (the canonical configuration, the content of the data, the versions of parts)

Every family, weighting and data set has an integer `version`, and so have the solver and the
training loop. Who changes the numbers of a part raises its version; code can be moved, renamed and
made quicker without training anything anew. A golden test (tests/test_golden.py) takes a few steps
of every entry and fails where numbers moved and the version did not.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mtlstudy import nash
from mtlstudy.errors import InputError
from mtlstudy.registry import entry

LOOP = 1
"""The version of backbones, tasks, sampling, step, optimiser, evaluation and selection together."""

NOT_MEANT = ("device",)
"""Fields that say where a run is made and not which run it is."""
LATER: Mapping[str, Any] = {"schedule": "constant", "only": []}
"""Fields younger than published runs, with what those were trained at: it is not written out."""


def versions(config: Mapping[str, Any]) -> dict[str, int]:
    """Part → its version, for every part that can change this run's numbers."""
    kinds = {kind: entry(kind, config[kind]) for kind in ("data", "sharing", "weighting")}
    found = {f"{kind}.{cls.name}": int(cls.version) for kind, cls in kinds.items()}
    if kinds["weighting"].solves:
        found["solver"] = nash.VERSION
    return {"training": LOOP, **found}


def content(config: Mapping[str, Any]) -> str:
    """The digest of the data that a run reads: of the pin where there is one, else of the file."""
    cls = entry("data", config["data"])
    return str(cls(cls.Options.parse("data_options", config["data_options"])).content())


def run_id(config: Mapping[str, Any]) -> str:
    """16 hex digits that name the run of a configuration (`RunConfig.model_dump(mode="json")`)."""
    return name(config, content(config), versions(config))


def name(config: Mapping[str, Any], content: str, versions: Mapping[str, int]) -> str:
    """The same of a configuration, content of data and versions as a record gives them."""
    meant = {
        key: value
        for key, value in config.items()
        if key not in NOT_MEANT and (key, value) not in LATER.items()
    }
    text = json.dumps([meant, content, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(record: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Why a recorded run is stale, part by part, one line each; empty for a current one.

    record: the run's run.json; config: what its configuration is today.
    """
    then, now = {**LATER, **record["config"]}, config
    found = [
        f"{key}: {then.get(key)!r} then, {now[key]!r} now"
        for key in now
        if key not in NOT_MEANT and then.get(key) != now[key]
    ]
    found += [f"{key}: {then[key]!r} then, no such field now" for key in then if key not in now]
    old, new = record["versions"], versions(config)
    found += [
        f"{part}: version {old.get(part, 'none')} then, {new.get(part, 'none')} now"
        for part in sorted(old | new)
        if old.get(part) != new.get(part)
    ]
    try:
        if record["content"] != content(config):
            found.append("the content of the data has changed")
    except InputError as error:  # data without a pin that are not on this machine
        found.append(str(error))
    return found
