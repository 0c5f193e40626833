"""The diagnosis: what is put into a model is found in the report."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import mtlstudy as ms
from mtlstudy import InputError
from mtlstudy.diagnosis import estimate


class Model(nn.Module):
    """A linear trunk whose output two heads, fixed at 1, read; a third task has noise alone."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(6, 1)
        self.heads = nn.ParameterDict({n: nn.Parameter(torch.ones(1)) for n in ("up", "<b>down")})

    def forward(self, x):
        z = self.trunk(x)[:, 0]
        return {name: z * head for name, head in self.heads.items()}


def losses_of(model, batch):
    x, noise = batch
    out = model(x)
    target = x[:, 0]
    return {
        "up": (out["up"] - target).square().mean(),
        "<b>down": 100 * (out["<b>down"] + target).square().mean(),
        "noise": ((model.trunk(x)[:, 0] - noise).square()).mean() * 1e-3,
    }


def batches(n=10):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(32, 6, generator=generator), 3 * torch.randn(32, generator=generator))
        for _ in range(n)
    ]


def model():
    torch.manual_seed(0)
    made = Model()
    with torch.no_grad():
        made.trunk.weight.zero_()
        made.trunk.bias.zero_()
    return made


@pytest.fixture(scope="module")
def report():
    return ms.doctor(model(), losses_of, batches(), steps=4, progress=False)


def rows(report, title):
    (section,) = [s for s in report.sections if s.title == title]
    return {row[0]: row[1:] for row in section.rows}


def test_steady_conflict_is_told_from_noise(report):
    found = rows(report, "Conflict")
    assert found["up, <b>down"][1] == "conflict" and found["up, <b>down"][0].startswith("-1.00")
    assert found["up, noise"][1] == found["<b>down, noise"][1] == "only noise"
    assert any("In steady conflict: up, <b>down" in line for line in report.advice)


def test_scales_and_games_are_those_of_the_gradients(report):
    scale = rows(report, "Scales")
    assert float(scale["<b>down"][1]) == pytest.approx(100 * float(scale["up"][1]), rel=1e-3)
    statuses = {row[1]: int(row[2]) for s in report.sections if s.title == "Game" for row in s.rows}
    assert statuses["PARETO_STATIONARY"] == 8  # the two oppose each other exactly


def test_every_weighting_and_every_task_runs_the_race(report):
    assert list(rows(report, "Race"))[:4] == ["equal", "equal_norm", "uncertainty", "nash"]
    assert len(rows(report, "Race")) == 7 and list(rows(report, "Alone")) == [
        "up",
        "<b>down",
        "noise",
    ]
    assert rows(report, "Alone")["up"][0].startswith("+")  # it is pulled away when they share
    assert any("Better alone" in line and "up" in line for line in report.advice)


def test_it_is_a_text_and_a_page_that_shows_names_as_text(report):
    text, page = str(report), report.html()
    assert "Advice" in text and "<b>down" in text
    assert "<b>down" not in page and "&lt;b&gt;down" in page and "<script" not in page


def test_the_model_and_the_random_state_are_left_as_they_were():
    given, state = model(), torch.get_rng_state()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    state = torch.get_rng_state()
    again = [ms.doctor(given, losses_of, batches(5), 2, progress=False) for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert all(p.grad is None for p in given.parameters())
    first, second = (rows(one, "Race") for one in again)
    assert {k: v[0] for k, v in first.items()} == {k: v[0] for k, v in second.items()}


def test_what_cannot_be_examined_is_refused():
    with pytest.raises(InputError, match="batches: 4; allowed: 5"):
        ms.doctor(model(), losses_of, batches(4))
    with pytest.raises(InputError, match="1 tasks"):
        one = lambda m, b: {"up": losses_of(m, b)["up"]}  # noqa: E731
        ms.doctor(model(), one, batches(5), progress=False)


def test_the_interval_is_students():
    assert estimate([1.0, 2.0, 3.0]).low == pytest.approx(2 - 4.302653 / 3**0.5, rel=1e-5)
    assert estimate([1.0, 1.0]).sign == 1 and estimate([1.0]).sign == 0


@pytest.mark.slow
def test_the_command_line_takes_a_script(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "import torch\nfrom torch import nn\n"
        "def build():\n"
        "    model = nn.Linear(3, 2)\n"
        "    def losses_of(m, x):\n"
        "        y = m(x)\n"
        "        return {'a': y[:, 0].square().mean(), 'b': (y[:, 1] - 1).square().mean()}\n"
        "    batches = [torch.randn(8, 3) for _ in range(5)]\n"
        "    return {'model': model, 'losses_of': losses_of, 'batches': batches, 'steps': 2}\n"
    )
    page = tmp_path / "report.html"
    command = [sys.executable, "-m", "mtlstudy.cli", "doctor"]
    done = subprocess.run(
        [*command, f"{script}:build", "--page", str(page)], capture_output=True, text=True
    )
    assert done.returncode == 0 and "Advice" in done.stdout and "Conflict" in page.read_text()
    wrong = subprocess.run([*command, f"{script}:biuld"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "has no function 'biuld'" in wrong.stderr
