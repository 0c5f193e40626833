"""Bad input is one line that names field, value and what is allowed."""

import pytest

from mtlstudy import InputError, RunConfig, fit

LEVEL = {"weighting_options": {"level": "representation"}}
BAD = [
    ({"data": "yeest"}, "data = 'yeest' is unknown; did you mean 'yeast'?"),
    ({"weighting": "nahs"}, "weighting = 'nahs' is unknown; did you mean 'nash'?"),
    ({"sharing": "hrad"}, "sharing = 'hrad' is unknown; did you mean 'hard'?"),
    ({"profile": "quick"}, "RunConfig field = 'profile' is unknown"),
    ({"lr": -1}, "lr = -1: "),
    ({"lr": float("nan")}, "lr = nan: "),
    ({"stepps": 3}, "RunConfig field = 'stepps' is unknown; did you mean 'steps'?"),
    ({"steps": 5, "evaluations": 9}, "evaluations = 9: must be ≤ steps = 5"),
    ({"device": "cuda"}, "device = 'cuda': no GPU is visible"),
    ({"device": "cdua"}, "device = 'cdua' is unknown; did you mean 'cuda'?"),
    ({"weighting_options": {"update_evry": 2}}, "did you mean 'update_every'?"),
    ({"weighting_options": {"update_every": 0}}, "weighting_options.update_every = 0: "),
    ({"weighting": "block_nash", **LEVEL}, "weighting_options.level = 'representation'"),
    ({"sharing": "single_task", "weighting": "nash"}, "nothing is shared"),
    ({"data_options": {"rho": 2}, "data": "synthetic"}, "data_options.rho = 2: "),
    ({"compile": True, "mode": "batched"}, "mode = 'batched' with compile = True"),
    ({"accumulate": 65}, "accumulate = 65: must be ≤ batch_size = 64"),
    ({"accumulate": 4, **LEVEL}, "accumulate = 4: a game on representations"),
    ({"mode": "sequental"}, "mode = 'sequental': "),
    ({"precision": "float16"}, "precision = 'float16': "),
    ({"memory_mb": 0}, "memory_mb = 0: "),
    ({"processes": 1, "sharded": True}, "processes = 1 with sharded = True: allowed: 2 or more"),
]
GRADIENT = {"sharing": "nash_share", "sharing_options": {"signal": "gradient"}}
BAD += [
    ({**GRADIENT, "weighting": "graddrop"}, "signal = 'gradient' takes task gradients"),
    ({**GRADIENT, "weighting_options": {"update_every": 2}}, "at every step"),
]
SHARDED = [
    ({"mode": "batched"}, "mode = 'batched' with sharded = True: allowed: auto, sequential"),
    ({"compile": True}, "compile = True with sharded = True"),
    ({"weighting": "config"}, "weighting = 'config' with sharded = True"),
    ({"sharing": "soft", "weighting": "equal"}, "sharing = 'soft' with sharded = True"),
    (LEVEL, "level = 'representation' with sharded = True: allowed: parameters"),
]
BAD += [({"processes": 2, "sharded": True, **fields}, message) for fields, message in SHARDED]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_input_is_one_line(fields, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError) as error:
        RunConfig(**{"data": "yeast", "weighting": "nash", **fields})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_copy_is_validated_anew():
    config = RunConfig(data="yeast", weighting="nash")
    assert config.but(steps=7).steps == 7
    with pytest.raises(InputError, match="nothing is shared"):
        config.but(sharing="single_task")


@pytest.mark.parametrize("family", ["sparse", "branched"])
def test_a_family_that_makes_no_sense_over_the_data_is_refused_before_training(family, store):
    with pytest.raises(InputError, match=f"sharing = '{family}'"):
        fit(RunConfig(data="toy", sharing=family, steps=2, width=1, depth=1), progress=False)
    assert not list(store.rglob("checkpoint*"))


def test_one_group_with_one_lower_layer_is_a_truth():
    options = {"tasks": 2, "groups": 1, "layers": 2, "lower": "shared", "inputs": 2, "train": 20}
    assert fit(RunConfig(data="two_groups", data_options=options, steps=1), False).status == "done"
