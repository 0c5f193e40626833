"""The project without a network: its commands in a network namespace of their own, where nothing
but the loop-back device is, and with a hook in every Python process that notes whoever tries.

Needs `unshare` (util-linux) and user namespaces.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mtlstudy.errors import InputError
from reliability import Outcome

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
LOOPBACK_UP = """\
import fcntl, os, socket, struct, sys
with socket.socket() as device:
    fcntl.ioctl(device, 0x8914, struct.pack("16sH22x", b"lo", 0x49))
os.execvp(sys.argv[1], sys.argv[1:])
"""
HOOK = """\
import os, socket, sys
HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in HERE:
        with open(os.environ["TRIED_THE_NETWORK"], "a") as file:
            print(sys.argv[:3], event, host, file=file)

sys.addaudithook(watch)
"""
FIT = "import mtlstudy as ms; print(ms.fit(ms.RunConfig(data='yeast', steps=4)).status)"
BOOK = (
    "git clone -q {root} . && mkdir .venv && ln -s {venv}/bin {venv}/lib {venv}/pyvenv.cfg .venv"
    " && touch .venv/installed && make book"
)
COMMANDS = (
    [PYTHON, "-c", FIT],
    [PYTHON, "-m", "mtlstudy.cli", "list"],
    [PYTHON, "-m", "mtlstudy.execute", f"{ROOT}/notebooks/performance.py", "page.ipynb"],
    ["sh", "-c", BOOK.format(root=f"'{ROOT}'", venv=f"'{sys.prefix}'")],
)
"""The last one is all: every notebook, the pages and the paper, from a fresh clone."""


def isolated(command: list[str], folder: Path, log: Path) -> subprocess.CompletedProcess[str]:
    """A command in `folder`, without a network."""
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook/sitecustomize.py").write_text(HOOK)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    clone = work if command[0] == "sh" else ROOT
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}/hook{os.pathsep}{clone}",
        "TRIED_THE_NETWORK": str(log),
        "HOME": str(folder),
    }
    for name in ("MTLSTUDY_RUNS", "MTLSTUDY_BUILD", "MTLSTUDY_CACHE", "MTLSTUDY_DATA"):
        environment.pop(name, None)
    inside = ["unshare", "-rn", PYTHON, "-S", "-c", LOOPBACK_UP, *command]
    return subprocess.run(inside, cwd=work, env=environment, capture_output=True, text=True)


def run(count: int, seed: int) -> Outcome:
    """The first `count` of the commands."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        raise InputError("unshare -rn: not allowed here; a network namespace cannot be made")
    failed, tries = 0, 0
    for command in COMMANDS[:count]:
        with TemporaryDirectory() as folder:
            log = Path(folder, "tried")
            ended = isolated(command, Path(folder), log)
            attempts = log.read_text().splitlines() if log.exists() else []
        tries += len(attempts)
        if ended.returncode or attempts:
            failed += 1
            print(command[-1], ended.stdout[-2000:], ended.stderr[-2000:], *attempts, sep="\n")
    return Outcome(min(count, len(COMMANDS)), failed, {"attempts": tries})
