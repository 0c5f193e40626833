"""The command line as a person meets it: exit codes, one line of complaint, records, stale and faulty runs."""

import json

import pytest
from typer.testing import CliRunner

from mtlstudy.training.loop import store as runs
from mtlstudy.cli import app
from mtlstudy.errors import InputError
from mtlstudy.training.settings import parse_seeds, parse_settings

SMALL = [
    "--set",
    "steps=20",
    "--set",
    "evaluations=2",
    "--set",
    "lr=0.003",
    "--set",
    "data.train=100",
]


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_run_status_verify_on_a_small_study():
    done = call("run", "--data", "synthetic", "--weighting", "nash", "--seeds", "0-1", *SMALL)
    assert done.exit_code == 0, done.output
    (record,) = (runs.root() / "studies").glob("*.json")
    assert len(json.loads(record.read_text())["final"]) == 2
    status = call("status")
    assert status.exit_code == 0 and status.output.count("done") == 2
    assert call("verify").exit_code == 0

    path = runs.folders()[0]
    (path / "metrics.jsonl").write_text("{}\n")
    found = call("verify")
    assert found.exit_code == 1 and "digest" in found.output
    assert (
        call(
            "run", "--data", "synthetic", "--weighting", "nash", "--seeds", "0-1", *SMALL
        ).exit_code
        == 2
    )
    assert call("verify", "--quarantine").exit_code == 0 and not path.exists()
    assert (runs.root() / "quarantine" / path.name / "run.json").exists()
    assert (
        call(
            "run", "--data", "synthetic", "--weighting", "nash", "--seeds", "0-1", *SMALL
        ).exit_code
        == 0
    )


def test_status_says_why_a_run_is_stale(monkeypatch):
    call("run", "--data", "synthetic", "--weighting", "nash", "--seeds", "0", *SMALL)
    from mtlstudy import config

    original = config._module
    monkeypatch.setattr(
        config, "_module", lambda m: ("edited", ()) if m == "weighting.nash" else original(m)
    )
    text = " ".join(call("status").output.split())
    assert "stale" in text and "has changed" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--data", "yeest"], "did you mean 'yeast'"),
        (["run", "--data", "yeast", "--weighting", "nahs"], "did you mean 'nash'"),
        (["run", "--data", "yeast", "--set", "lr=-1"], "lr = -1"),
        (["run", "--data", "yeast", "--set", "lrr=1"], "did you mean 'lr'"),
        (["run", "--data", "yeast", "--set", "lr"], "field=value"),
        (["run", "--data", "yeast", "--seeds", "2-1"], "seeds = '2-1'"),
        (["run", "--data", "yeast", "--seeds", "1000"], "seeds"),
        (["table", "toys"], "did you mean 'toy'"),
        (["table", "toy", "--profile", "ful"], "did you mean 'full'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.output
    assert result.output.strip().count("\n") == 0
    assert not runs.root().exists()


def test_list_names_every_shelf():
    text = call("list").output
    assert all(name in text for name in ("yeast", "single_task", "block_nash"))


def test_settings_and_seeds():
    assert parse_seeds("0-2,7") == [0, 1, 2, 7]
    assert parse_settings(["lr=0.003", "weighting.power=(1,2)", "device=cpu"]) == {
        "lr": 0.003, "weighting_options": {"power": (1, 2)}, "device": "cpu",
    }  # fmt: skip
    with pytest.raises(InputError, match="--set"):
        parse_settings(["wieghting.power=1"])


def test_a_variation_does_not_overwrite_the_study_of_the_profile():
    call("run", "--data", "synthetic", "--seeds", "0", *SMALL)
    (record,) = (runs.root() / "studies").glob("*.json")
    assert "lr=0.003" in record.name and record.name != "synthetic.hard.equal.quick.json"


def test_a_benchmark_runs_each_of_its_sets(monkeypatch):
    from mtlstudy import cli, data

    assert all(name in data.names() for sets in cli.BENCHMARKS.values() for name in sets)
    monkeypatch.setitem(cli.BENCHMARKS, "both", ("synthetic", "diabetes"))
    small = (
        "--seeds",
        "0",
        "--set",
        "steps=4",
        "--set",
        "evaluations=1",
        "--set",
        "lr=0.01",
        "--set",
        "dropout=0.0",
    )
    done = call("run", "--data", "both", *small)
    assert (
        done.exit_code == 0
        and "synthetic.hard.equal" in done.stdout
        and "diabetes.hard.equal" in done.stdout
    )
    refused = call("run", "--data", "both", "--name", "mine", *small)
    assert refused.exit_code == 2 and "2 studies" in refused.stderr
    assert "both" in call("list").stdout


def test_data_says_what_is_on_this_machine(monkeypatch):
    monkeypatch.setenv("MTLSTUDY_DATA", "/nowhere")
    monkeypatch.setenv("MTLSTUDY_CACHE", "/nowhere")
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    lines = call("data").stdout.splitlines()
    assert any("yeast" in line and "yes" in line for line in lines) and any(
        "nsmc" in line and "no" in line for line in lines
    )
    missing = call("run", "--data", "nsmc", "--seeds", "0", "--set", "steps=1")
    assert missing.exit_code == 2 and len(missing.stderr.strip().splitlines()) == 1
    assert "MTLSTUDY_DATA" in missing.stderr and "nsmc" in missing.stderr
