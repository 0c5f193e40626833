"""The command line as a person meets it: exit codes, one line of complaint, stale and faulty runs,
and a study that is killed."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mtlstudy import cli, files
from mtlstudy.cli import app
from mtlstudy.errors import InputError
from mtlstudy.registry import entry
from mtlstudy.training import store, tune
from mtlstudy.training.settings import parse_seeds, parse_settings

SMALL = [
    f"--set={field}"
    for field in ("steps=8", "evaluations=2", "lr=0.003", "data.train=60", "data.tasks=3")
]
RUN = ["run", "--data", "synthetic", "--weighting", "nash", *SMALL]


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A screen on which no table is folded."""
    monkeypatch.setattr(cli.console, "width", 300)


def words(result):
    return " ".join(result.output.split())


def test_a_run_is_listed_checked_and_set_aside_when_it_is_damaged():
    done = call(*RUN, "--seeds", "0-1")
    assert done.exit_code == 0, done.output
    assert len(store.folders()) == 2  # what is set is not tuned
    shown = call("status")
    assert shown.exit_code == 0 and words(shown).count(" done ") >= 2
    assert "2 runs checked, 0 faulty" in call("verify").output

    path = store.folders()[0]
    (path / "metrics.jsonl").write_text("{}\n")
    found = call("verify")
    assert found.exit_code == 1 and "digest" in found.output and path.exists()
    assert "faulty" in words(call("status"))
    assert "1 faulty" in call("verify", "--quarantine").output and not path.exists()
    assert (store.root() / "quarantine" / path.name / "run.json").exists()
    assert call(*RUN, "--seeds", "0-1").exit_code == 0


def test_damage_is_listed_and_the_rest_gone_on_with(monkeypatch, tmp_path):
    from mtlstudy.study import results

    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    results.published.cache_clear()
    files.publish(tmp_path / "published/quick", {"runs.csv": "run_id\n", "metrics.csv": "run_id\n"})
    (tmp_path / "published/quick/runs.csv").write_text("run_id\n0\n")
    call(*RUN, "--seeds", "0-2")
    first, second, _ = store.folders()
    (first / "run.json").write_text("{")
    (second / "DONE").write_text("")
    listed = call("status")
    assert words(listed).count("faulty") == 2 and " done " in words(listed)
    assert "runs.csv is not what SHA256SUMS" in words(listed) and listed.exit_code == 2
    found = call("verify")
    assert found.exit_code == 1 and "3 runs checked, 2 faulty" in found.output
    assert all(f"{name} " in found.output for name in (first / "run.json", second))
    assert "quick/runs.csv is not" in found.output and "metrics.csv" not in found.output
    results.published.cache_clear()


def test_status_says_why_a_run_is_stale(monkeypatch):
    call(*RUN, "--seeds", "0")
    monkeypatch.setattr(entry("weighting", "nash"), "version", 9)
    text = words(call("status"))
    assert "stale (done)" in text
    assert "weighting.nash: version 1 then, 9 now" in text


def test_a_run_with_a_field_that_there_is_no_more_is_stale_and_sound():
    call(*RUN, "--seeds", "0")
    (path,) = store.folders()
    record = store.read(path)
    record["config"]["profile"] = "quick"
    lines = {name: (path / name).read_text() for name in store.SEALED[1:]}
    store.finish(path, record, lines)
    text = words(call("status"))
    assert "stale (done)" in text and "profile: 'quick' then, no such field now" in text
    assert "1 runs checked, 0 faulty" in call("verify").output


def test_tuned_values_can_be_taken_over():
    small = [field for field in SMALL if "lr" not in field]
    done = call(
        *["run", "--data", "synthetic", "--weighting", "scale_invariant", *small],
        *["--seeds", "0", "--like", "equal"],
    )
    assert done.exit_code == 0, done.output
    runs = [store.load_run(path) for path in store.folders()]
    tuned = [run for run in runs if run.config.role == "tune"]
    assert {run.config.weighting for run in tuned} == {"equal"} and len(tuned) == 3
    best = max(tuned, key=tune.score).config.lr
    assert {run.config.lr for run in runs if run.config.role == "final"} == {best}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--data", "yeest"], "did you mean 'yeast'"),
        (["run", "--data", "yeast", "--weighting", "nahs"], "did you mean 'nash'"),
        (["run", "--data", "yeast", "--profile", "quik"], "did you mean 'quick'"),
        (["run", "--data", "yeast", "--set", "lr=-1"], "lr = -1"),
        (["run", "--data", "yeast", "--set", "lrr=1"], "did you mean 'lr'"),
        (["run", "--data", "yeast", "--set", "lr"], "field=value"),
        (["run", "--data", "yeast", "--set", "seed=3"], "allowed: --seeds"),
        (["run", "--data", "yeast", "--seeds", "2-1"], "seeds = '2-1'"),
        (["run", "--data", "yeast", "--seeds", "1000"], "seeds"),
        (["study", "--profile", "ful"], "did you mean 'full'"),
        (["study", "--comparison", "weighting"], "did you mean 'weightings'"),
        (["study", "--cell", "yeast.hard.nahs"], "did you mean 'yeast.hard.nash'"),
        (["study", "--jobs", "0", "--cell", "yeast.hard.nash"], "jobs = 0"),
        (["status", "--profile", "ful"], "did you mean 'full'"),
        (["verify", "--profile", "ful"], "did you mean 'full'"),
        (["publish", "--profile", "ful"], "did you mean 'full'"),
        (["recheck", "--profile", "ful"], "did you mean 'full'"),
        (["text", "--profile", "ful"], "did you mean 'full'"),
        (["data", "yeest"], "did you mean 'yeast'"),
        (["bench", "sovler"], "did you mean 'solver'"),
        (["new", "weihgting", "my_idea"], "did you mean 'weighting'"),
        (["new", "data", "../up"], "lower-case letters"),
        (["new", "data", "x" * 300], "File name too long"),
        (["run", "--data", "yeast", "--seeds", "\u00b2"], "seeds = '\u00b2'"),
        (["run", "--data", "yeast", "--seeds", "0-99999999"], "each below 1000"),
        (["run", "--data", "yeast", "--seeds", "9" * 5000], "each below 1000"),
        (["run", "--data", "yeast", "--seeds", ""], "seeds = ''"),
        (["run", "--data", "yeast", "--jobs", "0"], "jobs = 0"),
        (["run", "--data", "yeast", "--jobs", "many"], "--jobs"),
        (["run", "--data", ""], "data = ''"),
        (["run", "--data", "yeast", "--like", "nahs"], "did you mean 'nash'"),
        (["run", "--data", "yeast", "--profile", ""], "profile = ''"),
        (["run", "--data", "yeast", "--set", "learning_rate=1"], "did you mean 'lr'"),
        (["run", "--data", "yeast", "--set", "lr=null"], "lr = 'null': allowed: a finite number"),
        (["run", "--data", "yeast", "--set", "lr=1e400"], "lr = inf: allowed: a finite number"),
        (["run", "--data", "yeast", "--set", "lr=(" + "(" * 9999], "allowed: a finite number"),
        (["run", "--data", "yeast", "--set", "steps=[1]"], "steps = [1]: allowed: a whole number"),
        (["run", "--data", "yeast", "--set", "width=1000000000"], "≤ 8192"),
        (["run", "--data", "yeast", "--set", "weighting_options=3"], "a mapping"),
        (
            ["run", "--data", "yeast", "--set", "weighting_options=3", "--set", "weighting.p=1"],
            "set already",
        ),
        (["run", "--data", "yeast", "--set", "lr=1", "--set", "lr=2"], "lr is set already"),
        (
            ["run", "--data", "yeast", "--set", "optimiser.lr=1"],
            "allowed: data, sharing, w",
        ),
        (["run", "--data", "yeast", "--set", "steps=1000000000000"], "≤ 1000000000"),
        (["run", "--dta", "yeast"], "--data"),
        (["run"], "--data"),
        (["rnu"], "command = 'rnu' is unknown; did you mean 'run'?"),
        (["table", "sharing_x"], "command = 'table' is unknown; allowed: bench, data"),
        ([""], "command = ''"),
        (["--portabl", "list"], "--portable"),
        (["list", "more"], "more"),
        (["study", "--comparison", "sharing_x"], "did you mean 'sharings'"),
        (["bench", "solver", "--profile", "ful"], "did you mean 'full'"),
        (["bench", "solver", "--device", "cup"], "did you mean 'cpu'"),
        (["bench", "solver", "--peer", "/nowhere"], "peer = '/nowhere'"),
        (["recheck", "--seconds", "nan"], "seconds = nan"),
        (["recheck", "--seconds", "-1"], "seconds = -1"),
        (["publish", "--drop", ""], "drop = ''"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, monkeypatch):
    monkeypatch.setattr(tune, "fit", lambda *_: pytest.fail("trained"))
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.output, result.output
    assert result.output.startswith("mtlstudy: ") and result.output.strip().count("\n") == 0
    assert not store.root().exists()


def test_list_names_every_registry():
    text = call("list").output
    assert all(name in text for name in ("yeast", "single_task", "block_nash"))


def test_settings_and_seeds():
    assert parse_seeds("0-2,7") == [0, 1, 2, 7]
    given = ["lr=0.003", "weighting.power=(1,2)", "device=cpu"]
    expected = {"lr": 0.003, "weighting_options": {"power": (1, 2)}, "device": "cpu"}
    assert parse_settings(given) == expected
    with pytest.raises(InputError, match="--set"):
        parse_settings(["wieghting.power=1"])


def test_a_file_where_a_folder_is_expected_is_named(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "runs"):
        monkeypatch.setenv("MTLSTUDY_RUNS", str(place))
        for arguments in ([*RUN, "--seeds", "0"], ["status"], ["verify"]):
            result = call(*arguments)
            assert result.exit_code == 2 and "MTLSTUDY_RUNS" in result.output, result.output
            assert result.output.strip().count("\n") == 0
    assert call("new", "data", "my_idea", "--into", str(file)).exit_code == 2


@pytest.mark.slow
def test_the_portable_arithmetic_is_chosen_before_the_libraries_are_loaded():
    command = [sys.executable, "-m", "mtlstudy.cli", "--portable", *RUN, "--seeds", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = store.folders()
    assert store.read(path)["provenance"]["isa"] == "portable"


@pytest.mark.slow
def test_data_says_what_is_on_this_machine(monkeypatch, tmp_path):
    for variable in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    lines = call("data").stdout.splitlines()
    assert any("yeast" in line and "yes" in line for line in lines)
    assert any("nsmc" in line and "no" in line for line in lines)
    program = [sys.executable, "-m", "mtlstudy.cli"]  # a process that has read no file yet
    command = [*program, "run", "--data", "nsmc", "--seeds", "0", "--set", "steps=1"]
    missing = subprocess.run(command, capture_output=True, text=True)
    assert missing.returncode == 2 and len(missing.stderr.strip().splitlines()) == 1
    assert "MTLSTUDY_DATA" in missing.stderr and "nsmc" in missing.stderr


def test_a_kill_by_the_keyboard_before_a_command_begins_is_no_traceback(monkeypatch):
    monkeypatch.setattr("mtlstudy.cli.Program.get_command", raise_(KeyboardInterrupt))
    result = call("list")
    assert result.exit_code == 130 and isinstance(result.exception, SystemExit)


def raise_(error):
    def raised(*_):
        raise error

    return raised


@pytest.mark.slow
def test_ctrl_c_in_the_compiled_solver_is_ctrl_c():
    """Interrupted again and again in a loop that does nothing but solve."""
    code = (
        "import signal, torch\n"
        "from mtlstudy import nash_weights\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "J = torch.randn(2000, 8, 20, dtype=torch.float64)\n"
        "M = J @ J.mT\n"
        "nash_weights(M)\n"
        "for n in range(100):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.005 + n / 10000)\n"
        "        while True: nash_weights(M)\n"
        "    except KeyboardInterrupt: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
