"""Files are whole or not there, are what was written, and a full disk is one line that heals."""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from mtlstudy import InputError, RunConfig, files, fit
from mtlstudy.training import store

TINY = {"data": "synthetic", "steps": 2, "data_options": {"train": 20, "tasks": 2}}


def tree(folder):
    """Every file under a folder but locks, with its content."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix != ".lock"
    }


@contextmanager
def room(size):
    """No file can grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    target = tmp_path / "folder" / "file.txt"
    files.write(target, "good")
    with pytest.raises(ZeroDivisionError), files.placed(target) as part:
        part.write_text("half")
        _ = 1 / 0
    assert tree(tmp_path) == {"folder/file.txt": b"good"}


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    left, other = (
        tmp_path / f".file.{os.uname().nodename}.{process}.part"
        for process in (int(dead.stdout), os.getppid())
    )
    left.write_text("half")
    other.write_text("half")
    files.write(tmp_path / "file", "whole")
    assert tree(tmp_path).keys() == {"file", other.name}


@pytest.mark.parametrize("target", ["file/below", "file/below/deeper"])
def test_where_nothing_can_be_written_is_one_line(target, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"file/below.* cannot be written \(") as raised:
        files.write(tmp_path / target, "text")
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="cannot be written"), files.locked(tmp_path / target):
        pass


def test_a_full_disk_is_one_line_and_heals(tmp_path):
    file = tmp_path / "file"
    files.write(file, "good")
    for write in (lambda: files.write(file, "x" * 5000), lambda: files.put(file, b"x" * 5000)):
        with room(1000), pytest.raises(InputError, match=r"cannot be written \(File too large\)"):
            write()
        assert tree(tmp_path) == {"file": b"good"}


def test_a_run_on_a_full_disk_is_one_line_and_goes_on_when_there_is_room(tmp_path, monkeypatch):
    config = RunConfig(**TINY)
    whole = fit(config, progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    for size in (0, 100, 3000):
        with room(size), pytest.raises(InputError, match="cannot be written") as raised:
            fit(config, progress=False)
        assert "\n" not in str(raised.value)
        assert not [name for name in tree(tmp_path) if name.endswith(".part")]
    assert fit(config, progress=False).digest == whole.digest


def test_a_private_file_is_read_under_its_own_name_alone(tmp_path):
    one, other = tmp_path / "a" / "x.pt", tmp_path / "b" / "x.pt"
    files.put(one, b"content")
    assert files.get(one) == b"content" and files.get(other) is None
    other.parent.mkdir()
    one.rename(other)
    with pytest.raises(files.Damaged, match=r"b/x\.pt is cut short, altered or not of this place"):
        files.get(other)
    assert files.healed(files.get, other) is None and not other.exists()
    assert (tmp_path / "b/quarantine/x.pt").exists()


def test_results_are_known_to_sha256sum_and_killed_at_any_write_they_stay_known(tmp_path):
    files.publish(tmp_path, {"a.csv": "a\n1\n", "b.csv": "b\n1\n"})
    done = subprocess.run(["sha256sum", "-c", files.SUMS], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0 and files.faults(tmp_path) == []
    write = files.write
    for moment in range(5):
        left = iter(range(moment))

        def killed(path, text, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            write(path, text)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "write", killed)
            with suppress(KeyboardInterrupt):
                files.publish(tmp_path, {"a.csv": f"a\n{moment}\n", "c.csv": f"{moment}\n"})
        assert [f for f in files.faults(tmp_path) if "c.csv is missing" not in f] == [], moment
    assert files.result(tmp_path / "a.csv") == "a\n4\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_text("a\n2\n"), "is not what SHA256SUMS beside it names"),
        (lambda file: file.unlink(), "is missing; SHA256SUMS beside it names it"),
        (lambda file: (file.parent / files.SUMS).unlink(), "is not what SHA256SUMS"),
    ],
)
def test_a_result_that_is_not_what_was_published_is_named(damage, said, tmp_path):
    files.publish(tmp_path, {"a.csv": "a\n1\n"})
    assert files.result(tmp_path / "a.csv") == "a\n1\n"
    assert files.result(tmp_path / "other.csv") is None
    damage(tmp_path / "a.csv")
    with pytest.raises(files.Damaged, match=said):
        files.result(tmp_path / "a.csv")
    assert len(files.faults(tmp_path)) == 1


def test_a_checkpoint_that_does_not_fit_is_named_and_the_run_begun_anew(caplog, tmp_path):
    """Sound and of this run, but of another model: code that changed without its version."""
    config = RunConfig(**TINY)
    run = fit(config, progress=False)
    wide = fit(RunConfig(width=32, **TINY), progress=False)
    state = store.load(wide.path / "checkpoint.pt")
    (run.path / "DONE").unlink()
    store.save(run.path / "checkpoint.pt", state)
    again = fit(config, progress=False)
    assert again.digest == run.digest
    (line,) = [one.getMessage() for one in caplog.records if "checkpoint" in one.getMessage()]
    assert f"{run.path}/checkpoint.pt does not fit this run (" in line and "\n" not in line
    assert (store.root() / "quarantine" / run.path.name / "checkpoint.pt").exists()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    """What a pickle names is not called, whoever signed the file."""
    import io

    import torch

    class Call:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    memory = io.BytesIO()
    torch.save({"step": Call()}, memory)
    file = tmp_path / "run" / "checkpoint.pt"
    files.put(file, memory.getvalue())
    with pytest.raises(files.Damaged, match="holds more than tensors and plain values"):
        store.load(file)
    assert not (tmp_path / "called").exists()


def test_an_unfinished_run_whose_record_was_altered_is_named(tmp_path):
    run = fit(RunConfig(**TINY), progress=False)
    (run.path / "DONE").unlink()
    record = json.loads((run.path / "run.json").read_text())
    record["config"]["lr"] = 0.5
    (run.path / "run.json").write_text(json.dumps(record))
    assert "run.json describes run " in store.fault(run.path)
