"""Where hub data come from: read nearby, held to a digest of their content, never downloaded by a
run.

Looked for in this order: `$MTLSTUDY_DATA/<hub id with / as -->/<config>/<split>.parquet` (a mirror,
only read), what `fetch` put into `$MTLSTUDY_CACHE` (default ~/.cache/mtlstudy), the Hugging Face
cache. A run uses these places alone; only `fetch` (`mtlstudy data NAME`) asks the hub. A mirror and
the hub encode the same rows differently, so the digest is one of the values. The same bytes are
checked once: the digest of their values is kept in the cache, under a name made of the bytes' own.
"""

import hashlib
import io
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache as remembered
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mtlstudy.data._content import digest, kind
from mtlstudy.errors import InputError, unknown
from mtlstudy.files import aside, get, healed, placed, put

CONVERTED = "refs/convert/parquet"
"""The revision at which the hub keeps its own parquet of a data set, loading script or not."""
TIMEOUT = 10.0
"""Seconds after which a silent hub is given up."""

PINS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("pins.toml").read_text())
"""Hub id and config → split → digest of its content (see `_content`)."""


class MissingData(InputError):
    """A data set that is in none of the places looked at."""


@dataclass(frozen=True)
class Source:
    """Files of one data set on the hub.

    columns: those that are read, alone or with their kind: text, int, float, image, or a list of
    one ("text list"). megabytes: of the download. splits: split → digest of its content, "" where
    it is not pinned; those of pins.toml where they are not given.
    """

    hub_id: str
    columns: Mapping[str, str] | tuple[str, ...] = field(hash=False)
    megabytes: float
    config: str = "default"
    revision: str = CONVERTED
    splits: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.splits:
            self.splits.update(PINS[f"{self.hub_id}/{self.config}"])

    def __str__(self) -> str:
        return f"{self.hub_id} ({self.config})"


def rows(source: Source, split: str) -> Any:
    """The rows of a split, a pyarrow table with the source's columns in its order.

    Raises:
        MissingData: the file is nowhere.
        InputError: it cannot be read, has other columns or other content.
    """
    return _read(source, _checked(source, split)[0])


def content(*sources: Source) -> str:
    """One digest of all splits of these sources: of their pins, or where a split has none, of the
    content of the file that would be read."""
    parts = [
        f"{one.hub_id}/{one.config}/{split}={pin or _checked(one, split)[1]}"
        for one in sources
        for split, pin in one.splits.items()
    ]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def available(*sources: Source) -> bool:
    """Whether every split is on this machine; its content is not checked, the hub not asked."""
    return not missing(*sources)


def missing(*sources: Source) -> list[tuple[Source, str, str]]:
    """The splits that are in none of the places: source, split, and what is said about it."""
    result = []
    for one in sources:
        for split in one.splits:
            try:
                _find(one, split)
            except MissingData as error:
                result.append((one, split, str(error)))
    return result


def fetch(*sources: Source) -> None:
    """Download what is not on this machine yet into the cache; what was downloaded is checked
    before it is put in place.

    Raises:
        InputError: the hub cannot be reached, or has other columns or content than was pinned.
    """
    import pyarrow.parquet as pq

    for one, split, _ in missing(*sources):
        with TemporaryDirectory(dir=cache("hub"), prefix=".download-") as folder:
            files = download(one, split, Path(folder))
            table = _read(one, files)
            _check(one, split, files, table)
            target = _path(_cache() / "hub", one, split)
            with placed(target) as part:
                pq.write_table(table, part)


def download(source: Source, split: str, folder: Path) -> list[Path]:
    """The parquet files of a split, downloaded from the hub into `folder`; `InputError` where the
    hub cannot give them."""
    from huggingface_hub import HfApi, hf_hub_download

    where: dict[str, Any] = {"repo_id": source.hub_id, "repo_type": "dataset"}
    where |= {"revision": source.revision, "cache_dir": folder, "etag_timeout": TIMEOUT}
    try:
        info = HfApi().dataset_info(source.hub_id, revision=source.revision, timeout=TIMEOUT)
        names = shards([file.rfilename for file in info.siblings or []], source.config, split)
        files = [Path(hf_hub_download(filename=name, **where)) for name in names]
    except Exception as error:  # the client raises its own errors, its transport's, and OSError
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(f"data {source}: the hub cannot give it ({reason})") from error
    if not files:
        raise InputError(f"data {source}: no parquet file of {split} at {source.revision}")
    return files


def shards(names: Iterable[str], config: str, split: str) -> list[str]:
    """Those of a repository's files that hold a split, in order, as the hub names them.

    >>> files = ["default/test/0000.parquet", "default/train/0000.parquet", "README.md"]
    >>> shards([*files, "default/train/0001.parquet"], "default", "train")
    ['default/train/0000.parquet', 'default/train/0001.parquet']
    >>> shards(["mnist/test-00000-of-00001.parquet", "README.md"], "mnist", "test")
    ['mnist/test-00000-of-00001.parquet']
    """
    of_config, other = list[str](), list[str]()
    pattern = rf"(?:(.+)/)?{re.escape(split)}(?:/\d+|-\d+-of-\d+)?\.parquet"
    for name in sorted(names):
        match = re.fullmatch(pattern, name)
        if match and match[1] in (config, "data", None):
            (of_config if match[1] == config else other).append(name)
    return of_config or other


def _find(source: Source, split: str) -> list[list[Path]]:
    """The files of a split, from the first place that has them; of the Hugging Face cache those of
    every snapshot."""
    if split not in source.splits:
        raise unknown(f"data {source}: split", split, source.splits)
    mirror = os.environ.get("MTLSTUDY_DATA")
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{xdg}/huggingface"
    hugging_face = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    for folder in (*([Path(mirror).expanduser()] if mirror else []), _cache() / "hub"):
        if (file := _path(folder, source, split)).is_file():
            return [[file]]
    folder = hugging_face / f"datasets--{source.hub_id.replace('/', '--')}" / "snapshots"
    found = []
    for snapshot in sorted(folder.glob("*")):
        names = [file.relative_to(snapshot).as_posix() for file in snapshot.rglob("*.parquet")]
        found.append([snapshot / name for name in shards(names, source.config, split)])
    if any(found):
        return [files for files in found if files]
    raise MissingData(
        f"data {source}: {split} is missing; looked at MTLSTUDY_DATA ({mirror or 'not set'}); "
        f"the cache ({_cache() / 'hub'}); the Hugging Face cache ({hugging_face}); set "
        f"MTLSTUDY_DATA to a folder that has {_path(Path(), source, split)}, or download about "
        f"{source.megabytes:g} MB from the hub with `mtlstudy data NAME`"
    )


def _path(root: Path, source: Source, split: str) -> Path:
    return root / source.hub_id.replace("/", "--") / source.config / f"{split}.parquet"


def _checked(source: Source, split: str) -> tuple[list[Path], str]:
    """The files of a split, and the digest of their content: it is as pinned. Where no snapshot
    fits the pin, the first one is refused."""
    faults = list[InputError]()
    for files in _find(source, split):
        try:
            return files, _digest(source, split, files)
        except InputError as error:
            faults.append(error)
    raise faults[0]


def _digest(source: Source, split: str, files: list[Path]) -> str:
    """The digest of the content of files, read once for each state that they are in."""
    try:
        stats = [(file.resolve(), file.stat()) for file in files]
        held = [_bytes(f, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for f, s in stats]
    except OSError as error:
        raise InputError(f"{files[0]} cannot be read ({error.strerror})") from error
    text = str([str(source), split, source.splits[split], source.columns, held])
    verdict = cache("checked") / hashlib.sha256(text.encode()).hexdigest()[:32]
    if known := healed(get, verdict):
        return known.decode()
    try:
        sha = _check(source, split, files, _read(source, files))
    except InputError as error:
        if files[0].is_relative_to(_cache()):  # ours, so it may be moved
            raise InputError(f"{error}; moved to {aside(files[0])}") from None
        raise
    put(verdict, sha.encode())
    return sha


@remembered
def _bytes(file: Path, *_: int) -> str:
    """The digest of a file's bytes; in a process it is computed once for each state of the file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _check(source: Source, split: str, files: list[Path], table: Any) -> str:
    """The digest of a table that was read from these files; `InputError` where it is not the
    pinned one."""
    sha, pin = digest(table), source.splits[split]
    if pin and sha != pin:
        what = f"the content of {split} ({len(table):,} rows) has digest {sha[:12]}…"
        raise InputError(f"{files[0]}: {what}; expected {pin[:12]}…")
    return sha


def _read(source: Source, files: list[Path]) -> Any:
    """The named columns of parquet files as one table; `InputError` where one is missing or of
    another kind."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = source.columns if isinstance(source.columns, Mapping) else {}
    try:
        schema = pa.unify_schemas([pq.read_schema(file) for file in files])
        for name in source.columns:
            column = f"{files[0]}: column {name!r}"
            if name not in schema.names:
                raise InputError(f"{column} is missing; found: {', '.join(schema.names)}")
            have = kind(schema.field(name).type)
            if kinds.get(name, have) != have:
                raise InputError(f"{column} holds {have}; expected {kinds[name]}")
        parts = [pq.read_table(file, columns=list(source.columns)) for file in files]
        return pa.concat_tables(parts).select(list(source.columns))
    except (pa.ArrowException, OSError) as error:
        reason = f"cannot be read as parquet ({str(error).splitlines()[0]}); is it cut short?"
        raise InputError(f"{files[0]}: {reason}") from error


def cache(part: str) -> Path:
    """A part of the cache folder, `$MTLSTUDY_CACHE` or ~/.cache/mtlstudy. Everything in it can be
    deleted. `InputError` where it cannot be written."""
    try:
        (_cache() / part).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise InputError(f"MTLSTUDY_CACHE = {_cache()}: {reason}") from None
    return _cache() / part


def _cache() -> Path:
    return Path(os.environ.get("MTLSTUDY_CACHE") or "~/.cache/mtlstudy").expanduser()


def cached_array(part: str, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from a part of the cache; made where it is not there or is damaged."""
    file = cache(part) / f"{key}.array"
    if held := healed(get, file):
        return np.asarray(np.load(io.BytesIO(held)))
    x, memory = make(), io.BytesIO()
    np.save(memory, x)
    put(file, memory.getvalue())
    return x
