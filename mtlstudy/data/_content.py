"""What a table holds, whatever file it came in: the kinds of its columns, and a digest of its
values."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any


def digest(table: Any) -> str:
    """Digest of a pyarrow table's content: names, kinds and values of its columns in row order.

    It does not depend on the encoding: widths of integers and offsets, chunks, compression; images
    are compared by their pixels and numbers in single precision, since copies of one data set
    differ in these.
    """
    whole = hashlib.sha256()
    for name in table.column_names:
        whole.update(f"{name}\0{kind(table.schema.field(name).type)}\0".encode())
        for part in _content(table.column(name).combine_chunks()):
            whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def kind(type_: Any) -> str:
    """What a column of this arrow type holds: text, int, float, image, "… list", or the type's own
    name."""
    from pyarrow import types as t

    if t.is_dictionary(type_):
        return kind(type_.value_type)
    if t.is_string(type_) or t.is_large_string(type_):
        return "text"
    if t.is_integer(type_) or t.is_boolean(type_):
        return "int"
    if t.is_floating(type_):
        return "float"
    if t.is_list(type_) or t.is_large_list(type_):
        return f"{kind(type_.value_type)} list"
    if t.is_struct(type_):
        names = {type_.field(i).name for i in range(type_.num_fields)}
        return "image" if names == {"bytes", "path"} else "struct"
    return str(type_)


def _content(array: Any) -> Iterator[bytes]:
    """The bytes that stand for an array's values: which are there, how long each is, and the values
    that are there."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    form = kind(array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    yield np.asarray(array.is_valid()).tobytes()
    array = array.drop_null()
    if form == "image":
        from PIL import Image

        for file in array.field("bytes").to_pylist():
            image = Image.open(io.BytesIO(file))
            yield f"{image.mode} {image.size}".encode()
            yield image.tobytes()
    elif form == "struct":
        fields = {array.type.field(i).name: array.field(i) for i in range(array.type.num_fields)}
        for name in sorted(fields):
            yield name.encode()
            yield from _content(fields[name])
    elif form.endswith(" list"):
        yield np.asarray(pc.list_value_length(array), dtype="<i8").tobytes()
        yield from _content(array.flatten())
    elif form == "text":
        texts = [text.encode() for text in array.to_pylist()]
        yield np.array([len(text) for text in texts], dtype="<i8").tobytes()
        yield b"".join(texts)
    else:
        wide, stored = (pa.int64(), "<i8") if form == "int" else (pa.float64(), "<f4")
        yield np.asarray(array.cast(wide)).astype(stored).tobytes()
