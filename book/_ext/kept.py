"""What takes long to make for the book stays in the build folder until what it rests on changes."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mtlstudy.files import get, healed, put
from mtlstudy.training.store import build_folder


def digest(places: Iterable[Path]) -> str:
    """Of files, and of all files in folders."""
    files = [
        file
        for place in places
        for file in ([place] if place.is_file() else sorted(place.rglob("*.*")))
        if file.is_file() and file.suffix != ".pyc"
    ]
    return hashlib.sha256(
        b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)
    ).hexdigest()


def kept(kind: str, name: str, rests_on: object, make: Callable[[], str]) -> str:
    """The text that `make` made when it rested on the same, else a new one."""
    folder = build_folder() / kind
    file = folder / f"{name}.{hashlib.sha256(repr(rests_on).encode()).hexdigest()[:16]}"
    held = healed(get, file)
    if held is None:
        for old in folder.glob(f"{name}.*"):
            old.unlink()
        held = make().encode()
        put(file, held)
    return held.decode()
