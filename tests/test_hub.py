"""Where hub data come from: the order of places, the pins, what is refused, what an interrupted
download leaves."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtlstudy.data import _hub as hub
from mtlstudy.data._content import digest, kind
from mtlstudy.data._hub import MissingData, Source, available, content, fetch, missing, rows, shards
from mtlstudy.errors import InputError
from mtlstudy.files import get, placed

TABLE = pa.table(
    {"text": ["é", "<b>ñ</b>", None, ""], "label": [0, 1, 1, 0], "more": [1.5, 2.5, 3.5, None]}
)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A mirror, a cache and a Hugging Face cache of its own for every test."""
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"MTLSTUDY_{name}", str(tmp_path / name))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    return tmp_path


def source(sha256=None, columns=("text", "label")):
    sha256 = digest(TABLE.select(list(columns))) if sha256 is None else sha256
    return Source("some/set", columns, 3, revision="main", splits={"train": sha256})


def put(places, table=TABLE, root="DATA", **options):
    file = places / root / "some--set" / "default" / "train.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, **options)
    return file


def files(folder):
    return (
        sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        if folder.exists()
        else []
    )


def test_rows_have_only_the_named_columns_in_their_order(places):
    put(places)
    table = rows(source(columns=("label", "text")), "train")
    assert table.column_names == ["label", "text"]
    assert table.to_pydict() == {"label": [0, 1, 1, 0], "text": ["é", "<b>ñ</b>", None, ""]}


def test_a_file_is_checked_once(places, monkeypatch):
    put(places)
    rows(source(), "train")
    monkeypatch.setattr(hub, "digest", lambda table: pytest.fail("checked again"))
    assert len(rows(source(), "train")) == 4


def test_a_changed_file_is_checked_again(places):
    put(places)
    rows(source(), "train")
    put(places, TABLE.slice(1))
    with pytest.raises(InputError, match="digest"):
        rows(source(), "train")


def test_a_damaged_verdict_in_the_cache_is_made_anew(places):
    put(places)
    rows(source(), "train")
    (verdict,) = (places / "CACHE/checked").iterdir()
    whole = verdict.read_bytes()
    verdict.write_bytes(whole.replace(whole[:1], b"x", 1))
    assert len(rows(source(), "train")) == 4 and verdict.read_bytes() == whole


def test_the_digest_is_of_the_content_not_of_its_encoding():
    other = TABLE.set_column(0, "text", TABLE["text"].cast(pa.large_string()).dictionary_encode())
    other = other.set_column(1, "label", TABLE["label"].cast(pa.int8()))
    other = other.set_column(2, "more", TABLE["more"].cast(pa.float32()))
    assert (
        digest(TABLE)
        == digest(other)
        == digest(pa.concat_tables([other.slice(0, 1), other.slice(1)]))
    )
    nested = pa.table(
        {"x": [["a", None], [], None], "y": [{"p": 1, "q": "b"}, None, {"p": 2, "q": "c"}]}
    )
    assert digest(nested) == digest(pa.concat_tables([nested.slice(0, 2), nested.slice(2)]))


@pytest.mark.parametrize(
    "other",
    [
        TABLE.set_column(0, "text", pa.array(["é", "<b>ñ</b>", "", None])),
        TABLE.set_column(0, "text", pa.array(["é<", "b>ñ</b>", None, ""])),
        TABLE.set_column(1, "label", pa.array([0.0, 1.0, 1.0, 0.0])),
        TABLE.rename_columns(["text", "labels", "more"]),
        TABLE.take([1, 0, 2, 3]),
    ],
    ids=["null is not empty", "where a text ends", "type", "name", "order"],
)
def test_the_digest_sees_what_matters(other):
    assert digest(other) != digest(TABLE)


def test_lists_that_differ_only_in_their_ends_have_different_digests():
    assert digest(pa.table({"x": [["a", "b"], ["c"]]})) != digest(
        pa.table({"x": [["a"], ["b", "c"]]})
    )


def test_images_are_compared_by_pixels(places):
    import io

    from PIL import Image

    def png(level):
        out = io.BytesIO()
        Image.frombytes("L", (4, 4), bytes(range(16))).save(out, "PNG", compress_level=level)
        return {"bytes": out.getvalue(), "path": f"{level}.png"}

    one, other = (pa.table({"image": [png(level)]}) for level in (0, 9))
    assert one["image"][0]["bytes"] != other["image"][0]["bytes"] and digest(one) == digest(other)
    put(places, other)
    (file,) = rows(source(digest(one), {"image": "image"}), "train")["image"].to_pylist()
    image = Image.open(io.BytesIO(file["bytes"]))
    assert image.size == (4, 4) and image.getpixel((1, 0)) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "cut short"),
        (lambda file: file.write_bytes(b""), "cut short"),
        (lambda file: pq.write_table(TABLE.slice(1), file), "digest"),
        (
            lambda file: pq.write_table(TABLE.rename_columns(["document", "label", "more"]), file),
            "'text' is missing; found: document",
        ),
    ],
    ids=["truncated", "empty", "altered", "wrong column"],
)
def test_a_bad_file_of_the_mirror_is_refused_and_left_where_it_is(places, damage, message):
    file = put(places)
    damage(file)
    before = file.read_bytes()
    with pytest.raises(InputError, match=message) as raised:
        rows(source(), "train")
    assert str(file) in str(raised.value) and "\n" not in str(raised.value)
    assert file.read_bytes() == before and files(places / "DATA") == [
        "some--set/default/train.parquet"
    ]


def test_a_column_of_another_kind_is_refused(places):
    put(places)
    with pytest.raises(InputError, match="'label' holds int; expected text"):
        rows(source("", {"text": "text", "label": "text"}), "train")


def test_a_bad_file_of_our_cache_is_moved_aside_and_can_be_fetched_anew(places, monkeypatch):
    file = put(places, TABLE.slice(1), root="CACHE/hub")
    with pytest.raises(InputError, match="digest"):
        rows(source(), "train")
    assert files(file.parent) == ["quarantine/train.parquet"]
    monkeypatch.setattr(hub, "download", lambda s, split, folder: [downloaded(folder)])
    fetch(source())
    assert len(rows(source(), "train")) == 4


def downloaded(folder, table=TABLE):
    pq.write_table(table, folder / "0000.parquet")
    return folder / "0000.parquet"


def test_the_mirror_comes_before_the_cache_and_the_hugging_face_cache_last(places):
    snapshot = places / "hf/datasets--some--set/snapshots/abc/default"
    snapshot.mkdir(parents=True)
    pq.write_table(TABLE, snapshot / "train-00000-of-00001.parquet")
    assert available(source()) and len(rows(source(), "train")) == 4
    put(places, TABLE.slice(1), root="CACHE/hub")
    assert len(rows(source(""), "train")) == 3
    put(places, TABLE.slice(2))
    assert len(rows(source(""), "train")) == 2


def test_what_is_missing_everywhere_is_said_in_one_line(monkeypatch, places):
    monkeypatch.setattr(hub, "download", lambda *_: pytest.fail("a run never downloads"))
    with pytest.raises(MissingData) as raised:
        rows(source(), "train")
    for words in (
        "some/set (default)",
        "MTLSTUDY_DATA",
        "CACHE/hub",
        "hf",
        "some--set/default/train.parquet",
        "3 MB",
        "mtlstudy data",
    ):
        assert words in str(raised.value)
    assert "\n" not in str(raised.value) and not available(source())
    monkeypatch.delenv("MTLSTUDY_DATA")
    with pytest.raises(MissingData, match="not set"):
        rows(source(), "train")


def test_an_unknown_split_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'train'"):
        rows(source(), "trian")


def test_fetch_puts_the_content_into_the_cache_once(places, monkeypatch):
    calls = []
    monkeypatch.setattr(
        hub, "download", lambda s, split, folder: calls.append(split) or [downloaded(folder)]
    )
    fetch(source())
    fetch(source())
    assert calls == ["train"] and files(places / "CACHE/hub") == ["some--set/default/train.parquet"]
    assert len(rows(source(), "train")) == 4


def test_a_download_in_several_files_is_one(places, monkeypatch):
    def download(s, split, folder):
        pq.write_table(TABLE.slice(0, 2), folder / "0.parquet")
        pq.write_table(TABLE.slice(2), folder / "1.parquet")
        return [folder / "0.parquet", folder / "1.parquet"]

    monkeypatch.setattr(hub, "download", download)
    fetch(source())
    assert len(rows(source(), "train")) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_an_interrupted_download_leaves_nothing(places, monkeypatch, error):
    def download(s, split, folder):
        downloaded(folder)
        raise error("stopped")

    monkeypatch.setattr(hub, "download", download)
    with pytest.raises(error):
        fetch(source())
    assert files(places / "CACHE") == [] and not available(source())


def test_a_download_of_other_content_is_refused_and_leaves_nothing(places, monkeypatch):
    monkeypatch.setattr(
        hub, "download", lambda s, split, folder: [downloaded(folder, TABLE.slice(1))]
    )
    with pytest.raises(InputError, match="digest"):
        fetch(source())
    assert files(places / "CACHE") == []


def test_a_write_that_fails_leaves_nothing(places):
    target = hub.cache("tokens") / "x"
    with pytest.raises(RuntimeError), placed(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert files(places / "CACHE") == []


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_one_line_and_offline_is_respected(places):
    """In a process of its own: the client reads HF_HUB_OFFLINE when it is imported."""
    code = (
        "from pathlib import Path\n"
        "from mtlstudy.errors import InputError\n"
        "from mtlstudy.data._hub import Source, fetch\n"
        "try: fetch(Source('some/set', ('text',), 3, splits={'train': ''}))\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (
        "the hub cannot give it" in done.stdout
        and "offline" in done.stdout.lower()
        and done.stdout.count("\n") == 1
    ), done
    assert files(places / "CACHE") == []


def test_a_cache_that_cannot_be_written_is_one_line(places, monkeypatch):
    (places / "file").write_text("")
    monkeypatch.setenv("MTLSTUDY_CACHE", str(places / "file"))
    with pytest.raises(InputError, match="MTLSTUDY_CACHE"):
        hub.cache("hub")


def test_the_files_of_a_split_as_the_hub_names_them():
    names = [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "other/train/0000.parquet",
        "train.csv",
    ]
    assert shards(names, "default", "train") == names[:2]
    assert shards([*names, "default/train/0000.parquet"], "default", "train") == [
        "default/train/0000.parquet"
    ]
    assert shards(names, "default", "test") == []


def test_the_content_of_several_pinned_sources_does_not_depend_on_their_order():
    one, two = source("a" * 64), Source("other/set", ("text",), 1, splits={"train": "b" * 64})
    assert content(one, two) == content(two, one) != content(one)


def test_kinds():
    assert (
        kind(pa.list_(pa.large_string())) == "text list"
        and kind(pa.bool_()) == "int"
        and kind(pa.date32()) == "date32[day]"
    )


def test_what_is_kept_of_a_check_is_the_digest_of_the_content(places):
    put(places)
    rows(source(), "train")
    (verdict,) = (places / "CACHE/checked").iterdir()
    assert get(verdict).decode() == digest(TABLE.select(["text", "label"]))


def test_three_files_of_an_unpinned_set_are_three_contents_each_read_once(places, monkeypatch):
    tables = [TABLE, TABLE.slice(1), TABLE.take([1, 0, 2, 3])]
    found = []
    for table in tables:
        put(places, table)
        found.append(content(source("")))
    assert len(set(found)) == 3 and all(len(sha) == 64 for sha in found)
    monkeypatch.setattr(hub, "digest", lambda table: pytest.fail("read again"))
    assert content(source("")) == found[2], "costs nothing the second time"
    monkeypatch.undo()


def test_the_content_of_an_unpinned_set_does_not_depend_on_encoding_or_place(places):
    put(places)
    one = content(source(""))
    put(places, compression="zstd", row_group_size=1)
    assert content(source("")) == one
    put(places).unlink()
    put(places, root="CACHE/hub")
    assert content(source("")) == one


def test_a_pinned_content_needs_no_file_and_an_unpinned_one_does(places):
    assert len(content(source())) == 64 and not available(source())
    with pytest.raises(MissingData, match="train is missing"):
        content(source(""))


def test_what_is_missing_is_listed_split_by_split(places):
    two = Source("some/set", ("text",), 3, splits={"train": "", "test": ""})
    put(places)
    ((which, split, said),) = missing(two)
    assert (which, split) == (two, "test") and "test is missing" in said


def test_two_image_files_without_a_pin_are_two_entries_of_the_cache(places):
    import io

    from PIL import Image

    from mtlstudy.data import pairs

    unpinned = Source("some/set", ("image", "label"), 3, splits={"train": ""})
    found = []
    for grey in (10, 200):
        memory = io.BytesIO()
        Image.new("L", (28, 28), grey).save(memory, "PNG")
        put(places, pa.table({"image": [{"bytes": memory.getvalue(), "path": ""}], "label": [1]}))
        pairs.images.cache_clear()
        found.append(pairs.images(unpinned, "train").images.max().item())
    assert found == [10, 200]


def snapshot(places, name, table):
    folder = places / "hf/datasets--some--set/snapshots" / name / "default"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "train-00000-of-00001.parquet")


def test_of_two_snapshots_the_one_that_fits_the_pin_is_read(places):
    snapshot(places, "a", TABLE.slice(1))
    with pytest.raises(InputError, match=r"snapshots/a/.*has digest"):
        rows(source(), "train")
    snapshot(places, "b", TABLE)
    assert len(rows(source(), "train")) == len(TABLE)


@pytest.mark.parametrize("name", ["with space", "\uc790\ub8cc", "li'nk", "%20#?"])
@pytest.mark.parametrize("variable", ["MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HUB_CACHE"])
def test_a_place_may_have_any_name_and_be_a_link(places, monkeypatch, name, variable):
    root = places / "real"
    if variable == "HF_HUB_CACHE":
        snapshot(places, "a", TABLE)
        (places / "hf").rename(root)
    else:
        put(places, root="real/hub" if variable == "MTLSTUDY_CACHE" else "real")
    (places / name).symlink_to(root)
    monkeypatch.setenv(variable, str(places / name))
    assert len(rows(source(), "train")) == len(TABLE) and content(source())
