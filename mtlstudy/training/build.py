"""From a configuration to what is trained: data, model and weighting."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mtlstudy.training.config import RunConfig
from mtlstudy.data.base import Data, Splits
from mtlstudy.errors import InputError
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import Options, entry
from mtlstudy.weighting.base import Weighting


def build(config: RunConfig, structure: Mapping[str, Any] | None = None) -> tuple[Data, Splits, Sharing, Weighting]:
    """The data set, its splits, a freshly initialised model and the weighting, all on the configured device.

    structure: what the family's search found. Raises `InputError` where family, data and weighting do not fit together.
    """
    data, splits = load(config)
    torch.manual_seed(config.seed)
    backbone = data.backbone(splits, config)
    family, options = chosen("sharing", config)
    model: Sharing = family(backbone, data.tasks, data.heads(backbone.width), options, structure)
    blocks = model.shared_blocks()
    kind, settings = chosen("weighting", config)
    if kind.needs != "losses" and not blocks:
        raise InputError(f"weighting = {config.weighting!r}: with {config.sharing_options} {config.sharing} shares no parameter")
    weighting: Weighting = kind(len(data.tasks), len(blocks) if kind.per_block else 1, settings)
    return data, splits, model.to(config.device), weighting.to(config.device)


def load(config: RunConfig) -> tuple[Data, Splits]:
    """The data set and its splits, on the configured device where they fit into half of its free memory; otherwise they stay on
    the host and batches are moved."""
    kind, options = chosen("data", config)
    data: Data = kind(options)
    splits, device = data.load(config.seed), torch.device(config.device)
    three = (splits.train, splits.validation, splits.test)
    if device.type == "cuda" and sum(split.bytes() for split in three) > torch.cuda.mem_get_info()[0] / 2:
        return data, splits
    return data, Splits(*(split.to(device) for split in three))


def adam(config: RunConfig, *modules: nn.Module) -> torch.optim.Adam:
    """Adam over the parameters of some modules; fused, so that it can leave out a step without the host asking (see `Step`)."""
    groups = [{"params": parameters} for module in modules if (parameters := list(module.parameters()))]
    return torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def chosen(kind: str, config: RunConfig) -> tuple[Any, Options]:
    """The configured entry of a shelf and its options."""
    cls = entry(kind, getattr(config, kind))
    return cls, cls.Options.parse(f"{kind}_options", getattr(config, f"{kind}_options"))
