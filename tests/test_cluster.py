"""The study as jobs: the SLURM profile is one that snakemake understands, a job says what it needs
and runs in any folder, and through SLURM where there is one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROFILE = Path("profiles") / "slurm"
CELL = "synthetic.hard.equal"
TARGET = f"_build/cells/quick/{CELL}"
pytestmark = pytest.mark.book


def snakemake(*arguments, folder=ROOT, python=sys.executable, run=subprocess.run, **how):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for name in ("MTLSTUDY_RUNS", "MTLSTUDY_BUILD"):
        environment.pop(name, None)  # the workflow's own folders
    command = [str(python), "-m", "snakemake", *arguments]
    how = how or {"capture_output": True, "text": True, "timeout": 500}
    return run(command, cwd=folder, env=environment, **how)


def copied(folder):
    """What a job needs of the checkout."""
    for part in ("mtlstudy", "profiles"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "book").mkdir()
    for name in ("words.ko.yml", "claims.ko.yml"):
        shutil.copy(ROOT / "book" / name, folder / "book")
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def trained(folder):
    """Three candidates and three seeds."""
    return (folder / TARGET).exists() and len(list(folder.glob("runs/*/DONE"))) == 6


def test_every_key_of_the_profile_is_an_option_of_snakemake():
    options = set(re.findall(r"--([a-z][a-z-]+)", snakemake("--help").stdout))
    keys = set(yaml.safe_load((ROOT / PROFILE / "config.yaml").read_text()))
    assert len(options) > 100 and {"executor", "slurm-status-command"} <= options
    assert keys and keys <= options, keys - options


@pytest.mark.parametrize(("device", "gpu", "memory"), [("cpu", "0", "4000"), ("cuda", "1", "8000")])
def test_the_workflow_dry_runs_with_the_profile_and_says_what_a_job_needs(device, gpu, memory):
    config = ["--quiet", "host", "--config", f"device={device}", "profile=quick"]
    flags = ["--profile", str(PROFILE), "--dry-run", "--force", "--nolock", *config]
    shown = snakemake(*flags, "--", TARGET)
    assert shown.returncode == 0, shown.stderr
    said = re.search(r"resources: (.*)", shown.stdout + shown.stderr)[1]
    resources = dict(re.findall(r"(\w+)=(\w+)", said))
    needed = (resources["mem_mb"], resources["runtime"], resources["gpu"])
    assert needed == (memory, "60", gpu)


def test_the_workflow_has_a_job_for_every_cell_of_the_plan():
    from mtlstudy.study import plan

    flags = ["--dry-run", "--nolock", "--forceall", "--config", "profile=quick"]
    shown = snakemake(*flags, "--", "study")
    assert shown.returncode == 0, shown.stderr
    jobs = set(re.findall(r"_build/cells/quick/([a-z0-9_.]+)", shown.stdout))
    assert {cell.name for cell in plan.cells("quick")} <= jobs


def test_a_job_runs_in_a_folder_with_a_space_and_other_letters(tmp_path):
    folder = tmp_path / "my \uc5f0\uad6c"
    folder.mkdir()
    (copied(folder) / ".venv").symlink_to(sys.prefix)
    python = folder / ".venv" / "bin" / "python"
    flags = ["--cores", "1", "--config", "profile=quick"]
    done = snakemake(*flags, "--", TARGET, folder=folder, python=python)
    assert done.returncode == 0, done.stdout + done.stderr
    assert trained(folder)


def test_a_killed_workflow_goes_on_and_leaves_nothing_half_written(tmp_path):
    folder, flags = copied(tmp_path), ["--cores", "1", "--config", "profile=quick"]
    flags += ["--nolock", "--rerun-incomplete", "--", TARGET]  # as make has it
    with (tmp_path / "log").open("w") as log:
        how = {"stdout": log, "stderr": log, "start_new_session": True}
        killed = snakemake(*flags, folder=folder, run=subprocess.Popen, **how)
    until = time.monotonic() + 300
    while time.monotonic() < until and len(list(folder.glob("runs/*/DONE"))) < 2:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert 2 <= len(list(folder.glob("runs/*/DONE"))) < 6 and not (folder / TARGET).exists()
    sealed = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/DONE")}
    done = snakemake(*flags, folder=folder)
    assert done.returncode == 0 and trained(folder), done.stdout + done.stderr
    assert all(path.stat().st_mtime_ns == before for path, before in sealed.items())
    assert not list(folder.rglob("*.part"))


def test_one_cell_through_slurm():
    command = ["sinfo", "-h"]
    found = shutil.which("sinfo")
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60) if found else None
    if answer is None or answer.returncode or not answer.stdout.strip():
        pytest.skip("no SLURM answers here")
    (ROOT / "_build").mkdir(exist_ok=True)  # where the machines of a cluster see it too
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as name:
        folder = copied(Path(name))
        status = ["--slurm-status-command", "squeue"]
        wait = ["--slurm-init-seconds-before-status-checks", "5"]
        flags = [*status, *wait, "--config", "device=cpu", "profile=quick"]
        done = snakemake("--profile", str(PROFILE), *flags, "--", TARGET, folder=folder)
        assert done.returncode == 0 and "submitted with SLURM jobid" in done.stderr, done.stderr
        assert trained(folder)
