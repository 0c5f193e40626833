"""The study on a cluster: the SLURM profile is one that snakemake understands, and a job really runs where there is a SLURM."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROFILE = Path("profiles") / "slurm"
TARGET = "runs/studies/synthetic.hard.equal.quick.json"


def snakemake(*arguments, folder=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("MTLSTUDY_RUNS", None)  # the workflow's records lie in its own folder
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )


def test_every_key_of_the_profile_is_an_option_of_snakemake():
    options = set(re.findall(r"--([a-z][a-z-]+)", snakemake("--help").stdout))
    keys = set(yaml.safe_load((ROOT / PROFILE / "config.yaml").read_text()))
    assert len(options) > 100 and {"executor", "slurm-status-command"} <= options
    assert keys and keys <= options, keys - options


@pytest.mark.parametrize(("device", "gpu", "memory"), [("cpu", "0", "4000"), ("cuda", "1", "8000")])
def test_the_workflow_dry_runs_with_the_profile_and_says_what_a_job_needs(device, gpu, memory):
    flags = [
        "--dry-run",
        "--force",
        "--quiet",
        "host",
        "--config",
        f"device={device}",
        "--",
        TARGET,
    ]
    shown = snakemake("--profile", str(PROFILE), *flags)
    assert shown.returncode == 0, shown.stderr
    resources = dict(
        re.findall(r"(\w+)=(\w+)", re.search(r"resources: (.*)", shown.stdout + shown.stderr)[1])
    )
    assert (resources["mem_mb"], resources["runtime"], resources["gpu"]) == (memory, "60", gpu)


def test_one_study_through_slurm():
    answer = (
        subprocess.run(["sinfo", "-h"], capture_output=True, text=True, timeout=60)
        if shutil.which("sinfo")
        else None
    )
    if answer is None or answer.returncode or not answer.stdout.strip():
        pytest.skip("no SLURM answers here")
    (ROOT / "_build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=ROOT / "_build"
    ) as name:  # where the machines of a cluster see it too
        folder = Path(name)
        for part in ("mtlstudy", "profiles"):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "Snakefile", folder)
        flags = [
            "--slurm-status-command",
            "squeue",
            "--slurm-init-seconds-before-status-checks",
            "5",
            "--config",
            "device=cpu",
        ]
        done = snakemake("--profile", str(PROFILE), *flags, "--", TARGET, folder=folder)
        assert done.returncode == 0 and "submitted with SLURM jobid" in done.stderr, done.stderr
        assert (folder / TARGET).exists() and len(
            list(folder.glob("runs/*/DONE"))
        ) == 6  # three candidates, three seeds
