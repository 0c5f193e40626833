"""Where hub data come from: looked for nearby, held to a pinned digest of their content, never downloaded by a run.

Looked for in this order: `$MTLSTUDY_DATA/<hub id with / as -->/<config>/<split>.parquet` (a mirror, only read), what `fetch` put
into `$MTLSTUDY_CACHE` (default ~/.cache/mtlstudy), the Hugging Face cache. A run uses these places alone; only `fetch`
(`mtlstudy data NAME`) asks the hub. A mirror and the hub encode the same rows differently, so the pin is a digest of the values.
A file is checked once: the verdict is a memory-mapped copy in the cache, named after path, size, time and pin of the file.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import TYPE_CHECKING, Any

from mtlstudy.data._content import digest, kind
from mtlstudy.errors import InputError, unknown

if TYPE_CHECKING:
    from datasets import Dataset

CONVERTED = "refs/convert/parquet"
"""The revision at which the hub keeps its own parquet of a data set, loading script or not."""
TIMEOUT = 10.0
"""Seconds after which a silent hub is given up."""


class MissingData(InputError):
    """A data set that is in none of the places looked at."""


@dataclass(frozen=True)
class Source:
    """Files of one data set on the hub.

    splits: split → digest of its content (see `mtlstudy.content`), "" where the content could not be seen when this was written.
    columns: those that are read, alone or with their kind: text, int, float, image, or a list of one ("text list").
    megabytes: size of the download.
    """

    hub_id: str
    config: str
    revision: str
    splits: Mapping[str, str] = field(hash=False)
    columns: Mapping[str, str] | tuple[str, ...] = field(hash=False)
    megabytes: float

    def __str__(self) -> str:
        return f"{self.hub_id} ({self.config})"


def rows(source: Source, split: str) -> "Dataset":
    """The rows of a split, memory-mapped, with the source's columns in its order; images are decoded on access.

    Raises `MissingData` where the file is nowhere, `InputError` for one that cannot be read, has other columns or other content.
    """
    from datasets import Dataset

    files, ours = _find(source, split)
    arrow, seal = (cache("checked") / f"{_key(source, split, files)}.{end}" for end in ("arrow", "json"))
    if not (arrow.is_file() and seal.is_file() and json.loads(seal.read_text()) == arrow.stat().st_size):
        try:
            table = _checked(source, split, files)
        except InputError:
            if ours:
                os.replace(files[0], files[0].with_name(files[0].name + ".refused"))
            raise
        with written(arrow) as part:
            _save(table, part)
        with written(seal) as part:
            part.write_text(json.dumps(arrow.stat().st_size))
    return Dataset.from_file(str(arrow))


def available(*sources: Source) -> bool:
    """Whether every split is in one of the places on this machine. Does not ask the hub, and does not check the content."""
    return all(_local(source, split)[0] for source in sources for split in source.splits)


def fetch(*sources: Source) -> None:
    """Download what is not on this machine yet into the cache; what was downloaded is checked before it is put in place.

    Raises `InputError` where the hub cannot be reached, or has other columns or other content than was pinned.
    """
    import pyarrow.parquet as pq

    for source in sources:
        for split in source.splits:
            if not _local(source, split)[0]:
                with TemporaryDirectory(dir=cache("hub"), prefix=".download-") as folder:
                    table = _checked(source, split, download(source, split, Path(folder)))
                    target = _path(_cache() / "hub", source, split)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with written(target) as part:
                        pq.write_table(table, part)


def download(source: Source, split: str, folder: Path) -> list[Path]:
    """The parquet files of a split, downloaded from the hub into `folder`. `InputError` where the hub cannot give them."""
    from huggingface_hub import HfApi, hf_hub_download

    where: dict[str, Any] = {"repo_id": source.hub_id, "repo_type": "dataset", "revision": source.revision}
    try:
        info = HfApi().dataset_info(source.hub_id, revision=source.revision, timeout=TIMEOUT)
        names = shards([file.rfilename for file in info.siblings or []], source.config, split)
        found = [Path(hf_hub_download(filename=name, cache_dir=folder, etag_timeout=TIMEOUT, **where)) for name in names]
    except Exception as error:  # the client raises its own errors, those of its transport, and OSError
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"data {source}: the hub cannot give it ({type(error).__name__}: {reason})") from error
    if not found:
        raise InputError(f"data {source}: the hub has no parquet file of {split} at {source.revision}")
    return found


def shards(names: Iterable[str], config: str, split: str) -> list[str]:
    """Those of a repository's files that hold a split, in order, as the hub names them.

    >>> shards(["default/test/0000.parquet", "default/train/0000.parquet", "default/train/0001.parquet"], "default", "train")
    ['default/train/0000.parquet', 'default/train/0001.parquet']
    >>> shards(["mnist/test-00000-of-00001.parquet", "README.md"], "mnist", "test")
    ['mnist/test-00000-of-00001.parquet']
    """
    of_config, other = list[str](), list[str]()
    for name in sorted(names):
        match = re.fullmatch(rf"(?:(.+)/)?{re.escape(split)}(?:/\d+|-\d+-of-\d+)?\.parquet", name)
        if match and match[1] in (config, "data", None):
            (of_config if match[1] == config else other).append(name)
    return of_config or other


def pin(*sources: Source) -> str:
    """One digest for all splits of these sources: what enters a run's identity."""
    parts = [f"{source.hub_id}/{source.config}/{split}={sha}" for source in sources for split, sha in source.splits.items()]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def _find(source: Source, split: str) -> tuple[list[Path], bool]:
    """The files of a split, and whether they are our own (which may be moved)."""
    if split not in source.splits:
        raise unknown(f"data {source}: split", split, source.splits)
    files, ours, looked = _local(source, split)
    if not files:
        raise MissingData(
            f"data {source}: {split} is missing; looked at {'; '.join(looked)}; set MTLSTUDY_DATA to a folder that has "
            f"{_path(Path(), source, split)}, or download about {source.megabytes:g} MB from the hub with `mtlstudy data NAME`"
        )
    return files, ours


def _local(source: Source, split: str) -> tuple[list[Path], bool, list[str]]:
    mirror = os.environ.get("MTLSTUDY_DATA")
    looked = [
        f"MTLSTUDY_DATA ({mirror or 'not set'})",
        f"the cache ({_cache() / 'hub'})",
        f"the Hugging Face cache ({_hugging_face()})",
    ]
    mirrored = [(Path(mirror).expanduser(), False)] if mirror else []
    for folder, ours in (*mirrored, (_cache() / "hub", True)):
        file = _path(folder, source, split)
        if file.is_file():
            return [file], ours, looked
    for snapshot in sorted((_hugging_face() / f"datasets--{source.hub_id.replace('/', '--')}" / "snapshots").glob("*")):
        names = [str(file.relative_to(snapshot).as_posix()) for file in snapshot.rglob("*.parquet")]
        if files := [snapshot / name for name in shards(names, source.config, split)]:
            return files, False, looked
    return [], False, looked


def _checked(source: Source, split: str, files: list[Path]) -> Any:
    """The named columns as one table, once columns and content are what they must be."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pa.unify_schemas([pq.read_schema(file) for file in files])
        for name in source.columns:
            if name not in found.names:
                raise InputError(f"{files[0]}: column {name!r} is missing; found: {', '.join(found.names)}")
            have, want = kind(found.field(name).type), source.columns[name] if isinstance(source.columns, Mapping) else None
            if want not in (None, have):
                raise InputError(f"{files[0]}: column {name!r} holds {have}; expected {want}")
        table = pa.concat_tables([pq.read_table(file, columns=list(source.columns)) for file in files])
        table = table.select(list(source.columns))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{files[0]}: cannot be read as parquet ({str(error).splitlines()[0]}); is it cut short?") from error
    sha, wanted = digest(table), source.splits[split]
    if wanted and sha != wanted:
        raise InputError(
            f"{files[0]}: the content of {split} has digest {sha[:12]}…; expected {wanted[:12]}… ({len(table):,} rows)"
        )
    return table


def _save(table: Any, file: Path) -> None:
    import pyarrow as pa
    from datasets import Features, Image

    features = Features.from_arrow_schema(table.schema.remove_metadata())
    features = Features({n: Image() if kind(table.schema.field(n).type) == "image" else f for n, f in features.items()})
    table = table.replace_schema_metadata(features.arrow_schema.metadata)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=10_000)


def _key(source: Source, split: str, files: list[Path]) -> str:
    stats = [(str(file.resolve()), (s := file.stat()).st_size, s.st_mtime_ns) for file in files]
    columns = list(source.columns.items()) if isinstance(source.columns, Mapping) else source.columns
    text = json.dumps([source.hub_id, source.config, split, source.splits[split], columns, stats])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _path(folder: Path, source: Source, split: str) -> Path:
    return folder / source.hub_id.replace("/", "--") / source.config / f"{split}.parquet"


def _hugging_face() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def cache(part: str) -> Path:
    """A part of the cache folder, `$MTLSTUDY_CACHE` or ~/.cache/mtlstudy. Everything in it can be deleted.

    Raises `InputError` where it cannot be written.
    """
    try:
        (_cache() / part).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"MTLSTUDY_CACHE = {_cache()}: cannot be written ({error.strerror})") from None
    return _cache() / part


def _cache() -> Path:
    return Path(os.environ.get("MTLSTUDY_CACHE") or "~/.cache/mtlstudy").expanduser()


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """A temporary name beside `target`, moved into place once the block has ended well; otherwise nothing is left."""
    handle, name = mkstemp(dir=target.parent, prefix=f".{target.name}-")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
