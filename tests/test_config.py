"""Bad input is one line that names field, value and what is allowed; a run's identity follows from what determines it."""

import pytest

from mtlstudy import InputError, RunConfig
from mtlstudy.training.loop import config as module

BAD = [
    ({"data": "yeest"}, "data = 'yeest' is unknown; did you mean 'yeast'?"),
    ({"weighting": "nahs"}, "weighting = 'nahs' is unknown; did you mean 'nash'?"),
    ({"sharing": "hrad"}, "sharing = 'hrad' is unknown; did you mean 'hard'?"),
    ({"profile": "quik"}, "profile = 'quik' is unknown; did you mean 'quick'?"),
    ({"lr": -1}, "lr = -1: "),
    ({"lr": float("nan")}, "lr = nan: "),
    ({"stepps": 3}, "RunConfig field = 'stepps' is unknown; did you mean 'steps'?"),
    ({"steps": 5, "evaluations": 9}, "evaluations = 9: must be ≤ steps = 5"),
    ({"device": "cuda"}, "device = 'cuda': no GPU is visible"),
    ({"device": "cdua"}, "device = 'cdua' is unknown; did you mean 'cuda'?"),
    ({"weighting": "nash", "weighting_options": {"update_evry": 2}}, "did you mean 'update_every'?"),
    ({"weighting": "nash", "weighting_options": {"update_every": 0}}, "weighting_options.update_every = 0: "),
    ({"weighting": "block_nash", "weighting_options": {"level": "representation"}}, "weighting_options.level = 'representation'"),
    ({"sharing": "single_task", "weighting": "nash"}, "nothing is shared"),
    ({"data_options": {"rho": 2}, "data": "synthetic"}, "data_options.rho = 2: "),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_input_is_one_line(fields, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError) as error:
        RunConfig(**{"data": "yeast", **fields})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_identity_is_that_of_what_determines_the_run(monkeypatch):
    config = RunConfig(data="yeast", weighting="nash")
    same = RunConfig(data="yeast", weighting="nash", weighting_options={"update_every": 1}, lr=0.001)
    assert config.run_id == same.run_id  # a default spelled out is the same run
    assert config.run_id != config.but(seed=1).run_id
    assert {"nash", "weighting.nash", "weighting.base", "data.yeast", "gradients", "training"} <= set(config.sources())
    assert not {"weighting.equal", "data.multi_mnist", "runs", "figures"} & set(config.sources())
    before = config.run_id
    monkeypatch.setattr("mtlstudy.data.yeast.Yeast.sha256", "0" * 64)
    assert config.run_id != before


def test_editing_a_module_makes_only_dependent_runs_stale(monkeypatch):
    nash, equal = RunConfig(data="yeast", weighting="nash"), RunConfig(data="yeast", weighting="equal")
    before, original = (nash.run_id, equal.run_id), module._module

    def edited(name):
        digest, imports = original(name)
        return ("edited" if name == "nash_reference" or name == "weighting.nash" else digest), imports

    monkeypatch.setattr(module, "_module", edited)
    assert nash.run_id != before[0] and equal.run_id == before[1]


def test_sources_ignore_comments_and_docstrings(tmp_path, monkeypatch):
    def digest(text):
        file = tmp_path / "probe.py"
        file.write_text(text)
        monkeypatch.setattr(module, "find_spec", lambda name: type("Spec", (), {"origin": str(file)}))
        module._module.cache_clear()
        try:
            return module._module("probe")[0]
        finally:
            module._module.cache_clear()

    assert digest('"""A."""\nx = 1  # one\n') == digest('"""B, longer."""\n\nx = 1\n') != digest('"""A."""\nx = 2\n')
