"""From a configuration to what is trained: data, model and weighting."""

import torch

from .config import RunConfig
from .data.base import Data, Splits
from .sharing.base import Sharing
from .shelf import entry
from .weighting.base import Weighting


def build(config: RunConfig) -> tuple[Data, Splits, Sharing, Weighting]:
    """The data set, its splits, a freshly initialised model and the weighting, all on the configured device."""
    kinds = {kind: entry(kind, getattr(config, kind)) for kind in ("data", "sharing", "weighting")}
    options = {kind: cls.Options.parse(f"{kind}_options", getattr(config, f"{kind}_options")) for kind, cls in kinds.items()}
    device = torch.device(config.device)
    data: Data = kinds["data"](options["data"])
    splits = data.load(config.seed)
    splits = Splits(*(split.to(device) for split in (splits.train, splits.validation, splits.test)))
    torch.manual_seed(config.seed)
    backbone = data.backbone(splits.train.inputs, config.width, config.depth, config.dropout, config.seed)
    model: Sharing = kinds["sharing"](backbone, data.tasks, data.heads(backbone.width), options["sharing"])
    blocks = len(model.shared_blocks()) if kinds["weighting"].per_block else 1
    weighting: Weighting = kinds["weighting"](len(data.tasks), blocks, options["weighting"])
    return data, splits, model.to(device), weighting.to(device)
