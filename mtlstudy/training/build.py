"""From a configuration to what is trained: data, model, weighting and optimiser."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from mtlstudy.data._check import check, taken
from mtlstudy.data._subset import Subset
from mtlstudy.data.base import Data, Splits
from mtlstudy.errors import InputError
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import Options, entry
from mtlstudy.training.config import RunConfig
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step
from mtlstudy.weighting.base import Weighting


class Built(NamedTuple):
    """What a run trains, on the configured device."""

    data: Data
    splits: Splits
    model: Sharing
    weighting: Weighting


def build(config: RunConfig, structure: Mapping[str, Any] | None = None) -> Built:
    """The data set, its splits, a freshly initialised model and the weighting; torch's generator
    is left at the configured seed.

    structure: what the family's search found. Raises `InputError` where family, data and weighting
    do not fit together.
    """
    data, splits = load(config)
    torch.manual_seed(config.seed)
    trunk = backbone(config, data, splits)
    family, options = chosen("sharing", config)
    model: Sharing = family(trunk, data.tasks, data.heads(trunk.width), options, structure)
    blocks = model.shared_blocks()
    kind, settings = chosen("weighting", config)
    if kind.needs != "losses" and not blocks:
        reason = f"with {config.sharing_options} {config.sharing} shares no parameter"
        raise InputError(f"weighting = {config.weighting!r}: {reason}")
    weighting = kind(len(data.tasks), len(blocks) if kind.per_block else 1, settings)
    return Built(data, splits, model.to(config.device), weighting.to(config.device))


def load(config: RunConfig) -> tuple[Data, Splits]:
    """The data set and its splits, on the configured device where they fit into half of its free
    memory; otherwise they stay on the host and batches are moved."""
    data, splits = _load(config.data, json.dumps(config.data_options), config.seed, config.device)
    if not config.only:
        return data, splits
    some = Subset(data, config.only)
    return cast(Data, some), some.of(splits)


@lru_cache(2)  # runs of one data set and seed come one after another, and only read
def _load(name: str, options: str, seed: int, where: str) -> tuple[Data, Splits]:
    kind = entry("data", name)
    data: Data = kind(kind.Options.parse("data_options", json.loads(options)))
    loaded, device = data.load(seed), torch.device(where)
    splits = Splits(*(taken(data.tasks, split) for split in vars(loaded).values()))
    check(data, splits)
    parts = (splits.train, splits.validation, splits.test)
    size = sum(split.bytes() for split in parts)
    if device.type == "cuda" and size > torch.cuda.mem_get_info()[0] / 2:
        return data, splits
    return data, Splits(*(split.to(device) for split in parts))


def backbone(config: RunConfig, data: Data, splits: Splits) -> Backbone:
    """The configured backbone over a data set's inputs."""
    return data.backbone(
        splits,
        name=config.backbone,
        width=config.width,
        depth=config.depth,
        dropout=config.dropout,
        seed=config.seed,
    )


def adam(config: RunConfig, *modules: nn.Module) -> torch.optim.Adam:
    """Adam over the parameters of some modules; fused, so that it can leave out a step without the
    host asking (see `Step`)."""
    groups = [{"params": ps} for module in modules if (ps := list(module.parameters()))]
    return torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def make_sampler(config: RunConfig, splits: Splits) -> Sampler:
    """The order of the batches."""
    c, device = config, torch.device(config.device)
    return Sampler(splits.train, c.batch_size, c.seed, c.temperature, device=device)


def make_step(config: RunConfig, model: Sharing, weighting: Weighting) -> Step:
    """The step of a configuration with its optimiser: the plain one, unless its batch is divided
    into micro-batches or among processes."""
    how: dict[str, Any] = {key: getattr(config, key) for key in ("chunk", "precision", "compile")}
    if config.accumulate == config.processes == 1:
        return Step(model, weighting, adam(config, model, weighting), **how)
    from mtlstudy.training.parallel import ParallelStep

    how |= {"micro_batches": config.accumulate, "processes": config.processes}
    if not config.sharded:
        return ParallelStep(model, weighting, adam(config, model, weighting), **how)
    from mtlstudy.training.sharded import ShardedStep, shard  # torch's FSDP takes long to import

    parts = shard(model)
    return ShardedStep(parts, weighting, adam(config, parts, weighting), plain=model, **how)


def chosen(kind: str, config: RunConfig) -> tuple[Any, Options]:
    """The configured entry of a kind, and its options."""
    cls = entry(kind, getattr(config, kind))
    return cls, cls.Options.parse(f"{kind}_options", getattr(config, f"{kind}_options"))
