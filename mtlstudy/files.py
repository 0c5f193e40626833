"""Files that are there whole or not at all, and that are what was written.

Two kinds, each written and checked here alone. *Results* are text for everybody: the digests of a
folder's files stand in `SHA256SUMS` beside them, which `sha256sum -c` reads too. What is for this
package alone (checkpoints, caches) is *private*: a file ends in a digest of its content, its name
and its folder's, so that neither a damaged nor a mistaken one is ever read.
"""

import errno
import fcntl
import hashlib
import logging
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from itertools import count
from pathlib import Path
from typing import TypeVar

from mtlstudy.errors import InputError

log = logging.getLogger("mtlstudy")
SUMS = "SHA256SUMS"
T = TypeVar("T")


class Damaged(InputError):
    """A file or folder is not what was written there."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}")


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, moved there at the end of the block: the file is
    there whole or not at all, and a failure leaves nothing beside it. What a killed process left of
    the same file is removed.

    Raises:
        InputError: it cannot be written (no room, no permission).
    """
    host = platform.node()
    part = path.with_name(f".{path.name}.{host}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{escape(path.name)}.{host}.*.part"):
            process = old.name.split(".")[-2]
            if process.isdecimal() and not is_alive(int(process)):
                old.unlink(missing_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> InputError:
    """What is said where a file cannot be written."""
    again = "; what is written so far is kept, and the same command goes on from there"
    room = again if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return InputError(f"{path} cannot be written ({error.strerror or error}){room}")


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write(path: Path, text: str | bytes) -> None:
    """Write a file, whole or not at all."""
    with placed(path) as part, part.open("wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a folder or file: a second process that wants it waits, and then finds the first one's
    work done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = (path.parent / f".{path.name}.lock").open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def aside(path: Path) -> Path:
    """Move a file or folder to the folder `quarantine` beside it, losing nothing; its new place."""
    place = path.parent / "quarantine"
    try:
        place.mkdir(exist_ok=True)
        names = (path.name if n == 0 else f"{path.name}.{n}" for n in count())
        return path.rename(next(place / n for n in names if not (place / n).exists()))
    except FileNotFoundError:  # another process has moved it
        return place / path.name
    except OSError as error:
        raise InputError(f"{path} cannot be moved to {place} ({error.strerror})") from error


def healed(read: Callable[[Path], T | None], path: Path) -> T | None:
    """What `read` finds, of what can be made anew: where it is damaged it is named and moved aside,
    and None is the answer, as if it were not there."""
    try:
        return read(path)
    except Damaged as damage:
        moved = f"moved to {aside(path)}, and " if path.exists() else ""
        log.warning("%s; %smade anew", damage, moved)
        return None


def put(path: Path, content: bytes) -> None:
    """Write a private file: its content, then the digest."""
    with placed(path) as part, part.open("wb") as file:
        file.write(content)
        file.write(_digest(path, content))


def get(path: Path) -> bytes | None:
    """The content of a private file, None where there is none. `Damaged` where it is not what was
    put there under its name."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    content, sha = whole[:-32], whole[-32:]
    if sha != _digest(path, content):
        raise Damaged(path, "is cut short, altered or not of this place")
    return content


def _digest(path: Path, content: bytes) -> bytes:
    name = f"{path.parent.name}/{path.name}\0".encode()
    return hashlib.sha256(name + hashlib.sha256(content).digest()).digest()


def publish(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write results into a folder, and their digests into its `SHA256SUMS`. Whenever it is killed,
    every file is whole, the old or the new one, and known to the sums."""
    new = {name: {hashlib.sha256(text.encode()).hexdigest()} for name, text in texts.items()}
    with locked(folder / SUMS):
        old = _sums(folder)
        _write_sums(
            folder, {name: old.get(name, set()) | new.get(name, set()) for name in old | new}
        )
        for name, text in texts.items():
            write(folder / name, text)
        _write_sums(folder, old | new)
    return [folder / name for name in texts]


def result(file: Path) -> str | None:
    """The text of a result, None where there is none. `Damaged` where the sums beside it know it
    otherwise, or not at all."""
    known = _sums(file.parent).get(file.name)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        if known is None:
            return None
        raise Damaged(file, f"is missing; {SUMS} beside it names it") from None
    if hashlib.sha256(content).hexdigest() not in (known or ()):
        raise Damaged(file, f"is not what {SUMS} beside it names (cut short, altered or foreign)")
    return content.decode()


def faults(folder: Path) -> list[str]:
    """What is wrong with the results in a folder, a line a file."""
    there = {file.name for file in folder.glob("*") if file.suffix in (".csv", ".json")}
    wrong = []
    for name in sorted(there | _sums(folder).keys()):
        try:
            result(folder / name)
        except Damaged as damage:
            wrong.append(str(damage))
    return wrong


def _sums(folder: Path) -> dict[str, set[str]]:
    """File name → its digests: two while `publish` writes it."""
    sums: dict[str, set[str]] = {}
    with suppress(FileNotFoundError):
        text = (folder / SUMS).read_bytes().decode(errors="replace")
        for sha, name in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.M):
            sums.setdefault(name, set()).add(sha)
    return sums


def _write_sums(folder: Path, sums: Mapping[str, set[str]]) -> None:
    lines = [f"{sha}  {name}\n" for name in sorted(sums) for sha in sorted(sums[name])]
    write(folder / SUMS, "".join(lines))
