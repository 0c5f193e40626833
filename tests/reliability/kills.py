"""A small study killed at random moments, again and again, until it is done: at the end the same
bits as of an undisturbed one, no file that is half written, no run that is lost."""

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch

from mtlstudy import cli, nash_weights
from mtlstudy.study import plan
from mtlstudy.training import store
from reliability import Outcome

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SET = (
    "steps=6", "evaluations=3", "width=4", "depth=1", "batch_size=10", "data.tasks=2",
    "data.train=20", "sharing.rounds=2",
)  # fmt: skip
STUDY = [
    *("run", "--data", "synthetic", "--sharing", "sparse", "--weighting", "nash"),
    *("--seeds", "0-1", *(word for field in SET for word in ("--set", field))),
]
"""Candidates, tuning runs and reported ones, each with a search before it."""


def bits() -> dict[str, str]:
    """Run → what was sealed of it, times and places apart."""
    runs = [run for path in store.folders() if (run := store.load_run(path))]
    return {run.path.name: f"{run.digest} {run.observations()} {run.evaluations()}" for run in runs}


def start(said: Path) -> int:
    """Begin the study, or go on with it, in a process of its own; its number."""
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["mtlstudy", *STUDY]
        try:
            cli.app(STUDY)
        except SystemExit as end:
            code = int(end.code or 0)
    except KeyboardInterrupt:  # before the command had begun, or after
        code = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 – to be read by `wrong`
        traceback.print_exc()
    finally:
        os._exit(code)


def wrong(process: int, ended: int, name: int, said: str) -> str:
    """What is wrong with how a killed study ended, "" where nothing is."""
    if os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == name:
        return ""
    code = os.waitstatus_to_exitcode(ended)
    if code != 128 + name or "Traceback" in said:
        return f"exit {code} after signal {name}: {said[-300:]}"
    left = [str(part) for part in store.root().rglob(f"*.{process}.part")]
    return f"left {left}" if name == signal.SIGINT and left else ""


def run(count: int, seed: int) -> Outcome:
    """`count` kills."""
    draw, done, failed = random.Random(seed), Counter[str](), list[str]()
    nash_weights(torch.eye(2))  # what takes long is imported and compiled before it is forked
    torch.use_deterministic_algorithms(False)
    plan.profile_named("quick")
    with TemporaryDirectory() as folder:
        said = Path(folder, "said")
        with patch.dict(os.environ, MTLSTUDY_RUNS=f"{folder}/whole"):
            begin = time.perf_counter()
            ended = os.waitpid(start(said), 0)[1]
            seconds = time.perf_counter() - begin
            whole = bits()
            assert ended == 0 and whole, said.read_text()
        kills, studies = 0, 0
        while kills < count:
            with patch.dict(os.environ, MTLSTUDY_RUNS=f"{folder}/{studies}"):
                while True:
                    process, name = start(said), draw.choice(SIGNALS)
                    if kills < count:
                        time.sleep(draw.uniform(0, seconds / 3))
                        os.kill(process, name)
                    ended = os.waitpid(process, 0)[1]
                    if ended == 0:
                        break
                    kills += 1
                    done[signal.Signals(name).name] += 1
                    if reason := wrong(process, ended, name, said.read_text()):
                        failed.append(reason)
                    failed += [fault for path in store.folders() if (fault := store.fault(path))]
                left = [p.name for p in store.root().rglob("*.part")]
                if left or (store.root() / "quarantine").exists() or bits() != whole:
                    failed.append(f"study {studies}: {left or 'other bits'}")
            studies += 1
    for line in failed:
        print(line)
    ends = {number.name: done[number.name] for number in SIGNALS}
    return Outcome(kills, len(failed), {"studies": studies, **ends})
