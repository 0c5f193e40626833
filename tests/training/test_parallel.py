"""Two processes on the CPU end with the weights of one process on the joined batch; so do
micro-batches in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.training import store
from mtlstudy.training.parallel import columns

NEAR = {"config": 1e-4}  # its pseudo-inverse in float32 enlarges what rounding does
SMALL = {"data": "synthetic", "steps": 4, "evaluations": 1, "data_options": {"train": 150}}
NASH = {"weighting": "nash"}
CASES = {
    "equal": {},
    "uncertainty": {},
    "scale_invariant": {},  # its weights need the losses of the whole batch
    "nash": {},
    "block_nash": {},
    "config": {},  # makes its direction of J itself
    "nash held": {**NASH, "weighting_options": {"update_every": 2}},
    "nash of representations": {**NASH, "weighting_options": {"level": "representation"}},
    "soft": {"weighting": "equal", "sharing": "soft"},
    "multi-input": {**NASH, "data_options": {"train": 150, "multi_input": True}},
    "missing labels": {**NASH, "data": "diabetes", "data_options": {}},
}
PENALISED = ("soft", "config", "nash of representations")  # not allowed with sharded parameters
AGAIN = ("scale_invariant", "block_nash")  # the way of the losses, and of "nash in blocks"
SHARDED = {name: how for name, how in CASES.items() if name not in PENALISED + AGAIN} | {
    "nash in blocks": {"weighting": "block_nash", "sharing": "ple"},
    "nash of a deeper trunk": {**NASH, "depth": 4, "accumulate": 2},
    "nash of heads": {
        **NASH,
        "weighting_options": {"head_gradients": "weighted", "max_norm": 1e-2},
    },
}
DROPOUT = {"processes": 2, "dropout": 0.3, "steps": 8, "evaluations": 4}


def config(name, **changes):
    return RunConfig(**{**SMALL, "weighting": name, **{**CASES, **SHARDED}[name], **changes})


def killed(sharded):
    return config("nash", sharded=sharded, **DROPOUT)


PROGRAM = """
import json, os, sys
import mtlstudy as ms
from mtlstudy.training.loop import Training

def stop(self, observe):
    if self.step == 5:
        raise KeyboardInterrupt
    return advance(self, observe)

advance, folder = Training.advance, sys.argv[1]
for group, configs in json.load(open(folder + "/configs.json")).items():
    os.environ["MTLSTUDY_RUNS"] = f"{folder}/{group}"
    for values in configs:
        if group == "killed":
            Training.advance = stop
            try:
                ms.fit(ms.RunConfig(**values), progress=False)
            except KeyboardInterrupt:
                path = f"{folder}/{group}/{ms.RunConfig(**values).run_id}"
                assert os.path.exists(path + "/checkpoint.pt")
                assert not os.path.exists(path + "/DONE")
            else:
                raise AssertionError("not killed")
            Training.advance = advance
        ms.fit(ms.RunConfig(**values), progress=False)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory, worker_id):
    """Everything that two processes train, once for all workers of the tests: a folder of runs a
    group."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "together"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "done").exists():
            train_together(folder)
            (folder / "done").touch()
    return folder


def train_together(folder):
    groups = {
        "runs": [config(name, processes=2) for name in CASES]
        + [config(name, processes=2, sharded=True) for name in SHARDED]
        + [killed(sharded) for sharded in (False, True)],
        "killed": [killed(sharded) for sharded in (False, True)],
    }
    values = {name: [c.model_dump(mode="json") for c in each] for name, each in groups.items()}
    (folder / "configs.json").write_text(json.dumps(values))
    (folder / "train.py").write_text(PROGRAM)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, folder / "train.py", folder],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def weights(root, config):
    state = store.load(Path(root) / config.run_id / "checkpoint.pt")
    values = [x for part in ("model", "weighting") for x in state[part].values()]
    return torch.cat([x.double().flatten() for x in values if torch.is_tensor(x)])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_with_the_weights_of_one(name, together):
    alone = config(name)
    fit(alone, progress=False)
    one, two = weights(store.root(), alone), weights(together / "runs", config(name, processes=2))
    assert one.shape == two.shape and (one - two).abs().max() < NEAR.get(name, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_sharded_parameters_end_with_the_weights_of_one(name, together):
    alone, sharded = config(name), config(name, processes=2, sharded=True)
    run = fit(alone, progress=False)
    one, two = weights(store.root(), alone), weights(together / "runs", sharded)
    assert one.shape == two.shape and (one - two).abs().max() < 1e-6
    results = store.load_run(together / "runs" / sharded.run_id).record["results"]
    assert results["test"].keys() == run.record["results"]["test"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_a_world_killed_between_checkpoints_goes_on_to_the_same_bits(sharded, together):
    """Each process has random numbers of its own (dropout), all of them in the checkpoint."""
    one = killed(sharded)
    whole, again = together / "runs" / one.run_id, together / "killed" / one.run_id
    for name in ("metrics.jsonl", "weights.jsonl"):
        assert (whole / name).read_bytes() == (again / name).read_bytes()
    assert store.load_run(whole).digest == store.load_run(again).digest
    assert torch.equal(weights(whole.parent, one), weights(again.parent, one))


@pytest.mark.parametrize("name", CASES)
def test_micro_batches_end_with_the_weights_of_the_whole(name):
    if "representation" in name:
        with pytest.raises(InputError, match="accumulate = 4"):
            config(name, accumulate=4)
        return
    whole, divided = config(name, steps=4), config(name, steps=4, accumulate=4)
    for one in (whole, divided):
        fit(one, progress=False)
    off = (weights(store.root(), whole) - weights(store.root(), divided)).abs().max()
    assert off < NEAR.get(name, 1e-6)


def test_another_number_of_processes_than_configured_is_refused():
    said = r"processes = 2: this is one of 1; start it with torchrun --nproc-per-node 2"
    with pytest.raises(InputError, match=said):
        fit(config("nash", processes=2), progress=False)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("sizes", [[7], [3, 4], [1, 1, 9], [6, 1, 1]])
def test_every_column_lies_in_one_block_of_one_process(size, sizes):
    portions = [columns(sizes, rank, size) for rank in range(size)]
    whole = -(-sum(sizes) // size) * size
    assert all(len(portion) == len(sizes) and min(portion) >= 0 for portion in portions)
    together = [sum(column) for column in zip(*portions, strict=True)]
    assert together == [*sizes[:-1], sizes[-1] + whole - sum(sizes)]
