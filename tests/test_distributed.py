"""Two processes on the CPU end with the weights of one process on the joined batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mtlstudy.training.loop import store as runs
from mtlstudy import InputError, RunConfig, fit
from mtlstudy.training.parallel import Team

NEAR = {"config": 1e-4}  # its pseudo-inverse in float32 enlarges what rounding does
SMALL = {"data": "synthetic", "steps": 12, "evaluations": 2, "data_options": {"train": 150}, "lr": 1e-3}
CASES = {
    "equal": {},
    "uncertainty": {},
    "scale_invariant": {},  # its weights need the losses of the whole batch
    "nash": {},
    "block_nash": {},
    "equal_norm": {},
    "config": {},  # makes its direction of J itself
    "nash held": {"weighting": "nash", "weighting_options": {"update_every": 4}},
    "nash of representations": {"weighting": "nash", "weighting_options": {"level": "representation"}},
    "soft": {"weighting": "equal", "sharing": "soft"},
    "multi-input": {"weighting": "nash", "data_options": {"train": 150, "multi_input": True}},
    "missing labels": {"weighting": "nash", "data": "diabetes", "data_options": {}},
}


PENALISED = ("soft", "config", "nash of representations")  # what parameters in parts do not allow
PARTS = {name: how for name, how in CASES.items() if name not in PENALISED} | {
    "nash in blocks": {"weighting": "block_nash", "sharing": "ple"},
    "nash of a deeper trunk": {"weighting": "nash", "depth": 4, "accumulate": 2},
    "nash of heads": {"weighting": "nash", "weighting_options": {"head_gradients": "weighted", "max_norm": 1e-2}},
}


def config(name, **changes):
    return RunConfig(**{**SMALL, "weighting": name, **{**CASES, **PARTS}[name], **changes})


def torchrun(configs, folder, before="", processes=2):
    """Fit the configurations in so many processes, runs in `folder`; the exit code: 0 unless `before` breaks it."""
    folder.mkdir(exist_ok=True)
    program, values = folder / "train.py", json.dumps([one.model_dump(mode="json") for one in configs])
    (folder / "configs.json").write_text(values)
    program.write_text(
        f"import json, os, sys\nimport mtlstudy as ms\n{before}\n"
        "for values in json.load(open(sys.argv[1])):\n    ms.fit(ms.RunConfig(**values), progress=False)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "MTLSTUDY_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, program, folder / "configs.json"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert before or done.returncode == 0, done.stderr[-3000:]
    return done.returncode


def weights(root, config):
    state = torch.load(Path(root) / config.run_id / "checkpoint.pt", weights_only=True)
    values = [x for part in ("model", "weighting") for x in state[part].values()]
    return torch.cat([x.double().flatten() for x in values if torch.is_tensor(x)])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    torchrun([config(name, processes=2) for name in CASES], folder)
    return folder / "runs"


@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_with_the_weights_of_one(name, together):
    alone = config(name)
    fit(alone, progress=False)
    one, two = weights(runs.root(), alone), weights(together, config(name, processes=2))
    assert one.shape == two.shape and (one - two).abs().max() < NEAR.get(name, 1e-6)


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    torchrun([config(name, processes=2, sharded=True) for name in PARTS], folder)
    return folder / "runs"


@pytest.mark.parametrize("name", PARTS)
def test_parameters_in_parts_end_with_the_weights_of_one(name, in_parts):
    alone, parts = config(name), config(name, processes=2, sharded=True)
    fit(alone, progress=False)
    one, two = weights(runs.root(), alone), weights(in_parts, parts)
    assert one.shape == two.shape and (one - two).abs().max() < 1e-6
    results = [runs.load_run(root / one.run_id).record["results"] for root, one in ((runs.root(), alone), (in_parts, parts))]
    assert results[0]["test"].keys() == results[1]["test"].keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processes": 1}, r"processes = 1 with sharded = True: allowed: 2 or more"),
        ({"mode": "batched"}, "mode = 'batched' with sharded = True: allowed: auto, sequential"),
        ({"compile": True}, "compile = True with sharded = True"),
        ({"weighting": "config"}, "weighting = 'config' with sharded = True"),
        ({"sharing": "soft", "weighting": "equal"}, "sharing = 'soft' with sharded = True"),
        ({"weighting_options": {"level": "representation"}}, "level = 'representation' with sharded = True: allowed: parameters"),
    ],
)
def test_what_parameters_in_parts_do_not_allow_is_said_before_any_work(changes, message):
    with pytest.raises(InputError, match=message):
        config("nash", **{"processes": 2, "sharded": True, **changes})


@pytest.mark.parametrize("name", CASES)
def test_a_batch_in_parts_ends_with_the_weights_of_the_whole(name):
    if "representation" in name:
        with pytest.raises(InputError, match="accumulate = 4"):
            config(name, accumulate=4)
        return
    whole, parts = config(name), config(name, accumulate=4)
    for one in (whole, parts):
        fit(one, progress=False)
    assert (weights(runs.root(), whole) - weights(runs.root(), parts)).abs().max() < NEAR.get(name, 1e-6)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_team_killed_between_checkpoints_goes_on_to_the_same_bits(sharded, tmp_path):
    """Each process has random numbers of its own (dropout), and all of them are in the checkpoint."""
    one = config("nash", processes=2, sharded=sharded, dropout=0.3, steps=16, evaluations=4)
    torchrun([one], tmp_path)
    path = tmp_path / "runs" / one.run_id
    files = ("metrics.jsonl", "weights.jsonl", "checkpoint.pt")
    whole = {name: (path / name).read_bytes() for name in files[:2]}
    final = weights(tmp_path / "runs", one)
    stop = (
        "from mtlstudy.training.loop import Training\nadvance = Training.advance\n"
        "def stop(self, observe):\n    os._exit(9) if self.step == 10 else None\n    return advance(self, observe)\n"
        "Training.advance = stop"
    )
    again = tmp_path / "again"
    assert torchrun([one], again, stop) != 0
    assert (again / "runs" / one.run_id / "checkpoint.pt").exists() and not (again / "runs" / one.run_id / "DONE").exists()
    torchrun([one], again)
    assert {name: (again / "runs" / one.run_id / name).read_bytes() for name in files[:2]} == whole
    assert torch.equal(weights(again / "runs", one), final)


def test_another_number_of_processes_than_configured_is_refused():
    with pytest.raises(InputError, match=r"processes = 2: this is one of 1; start it with torchrun --nproc-per-node 2"):
        fit(config("nash", processes=2), progress=False)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("sizes", [[7], [3, 4], [1, 1, 9], [6, 1, 1]])
def test_every_column_lies_in_one_block_of_one_process(size, sizes):
    portions = [Team(rank, size).portion(sizes) for rank in range(size)]
    whole = -(-sum(sizes) // size) * size if size > 1 else sum(sizes)
    assert all(len(portion) == len(sizes) and min(portion) >= 0 for portion in portions)
    assert [sum(column) for column in zip(*portions, strict=True)] == [*sizes[:-1], sizes[-1] + whole - sum(sizes)]
