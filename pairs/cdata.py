"""Record batches as the text that the C peer reads and writes; pairs/c/batch.h says what it is.

pyarrow gives and takes batches through the structs of the Arrow C Data Interface, which ctypes
reads and fills in here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa


class Schema(ctypes.Structure):
    """struct ArrowSchema."""


class Array(ctypes.Structure):
    """struct ArrowArray."""


Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", Release),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", Release),
    ("private_data", ctypes.c_void_p),
]

# ---- Writing

# Bytes of a value, of types that have a size; those that begin so, the longest first.
SIZES = {"tdD": 4, "tts": 4, "ttm": 4, "tiM": 4, "tin": 16, "t": 8} | {
    letter: size
    for size, letters in ((1, "cC"), (2, "sSe"), (4, "iIf"), (8, "lLg"))
    for letter in letters
}


def value_size(form: str) -> int:
    """Gives how many bytes a value has, 0 where the type does not say."""
    if form.startswith("w:"):
        return int(form[2:])
    if form.startswith("d:"):
        parameters = form[2:].split(",")
        return int(parameters[2]) // 8 if len(parameters) > 2 else 16
    return next((size for start, size in SIZES.items() if form.startswith(start)), 0)


def last(offsets: int | None, at: int, wide: bool) -> int:
    """Gives the offset at a place, which is how many values or bytes there are."""
    kind = ctypes.c_int64 if wide else ctypes.c_int32
    return (kind * (at + 1)).from_address(offsets)[at] if offsets else 0


def buffer_size(form: str, array: Array, i: int) -> int:
    """Gives how many bytes buffer i holds."""
    end, bits = array.offset + array.length, (array.offset + array.length + 7) // 8
    wide = form in ("Z", "U", "+L", "+vL")
    if form.startswith("+u"):
        return end if i == 0 else 4 * end
    if i == 0 or form == "b":
        return bits
    if form.startswith("v"):
        data = array.n_buffers - 3
        if i == 1:
            return 16 * end
        return 8 * data if i == data + 2 else last(array.buffers[data + 2], i - 2, wide=True)
    if form.startswith("+v"):
        return end * (8 if wide else 4)
    if size := value_size(form):
        return end * size
    return (end + 1) * (8 if wide else 4) if i == 1 else last(array.buffers[1], end, wide)


def word(address: int | None, size: int) -> str:
    return "x" + ctypes.string_at(address, size).hex() if address else "-"


def metadata_size(address: int) -> int:
    """Metadata is a count of pairs, and each key and value after its size."""
    at = address + 4
    for _ in range(2 * ctypes.c_int32.from_address(address).value):
        at += 4 + ctypes.c_int32.from_address(at).value
    return at - address


def lines(schema: Schema, array: Array) -> Iterator[str]:
    form, name = schema.format.decode(), schema.name
    metadata = schema.metadata
    yield " ".join(
        [
            form,
            "-" if name is None else "x" + name.hex(),
            word(metadata, metadata_size(metadata) if metadata else 0),
            *map(str, (schema.flags, schema.n_children, int(bool(schema.dictionary)))),
            *map(str, (array.length, array.null_count, array.offset)),
            *(word(array.buffers[i], buffer_size(form, array, i)) for i in range(array.n_buffers)),
        ]
    )
    for i in range(schema.n_children):
        yield from lines(schema.children[i][0], array.children[i][0])
    if schema.dictionary:
        yield from lines(schema.dictionary[0], array.dictionary[0])


def write(path: Path, batch: pa.RecordBatch) -> None:
    schema, array = Schema(), Array()
    batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
    path.write_text("".join(f"{line}\n" for line in lines(schema, array)))
    schema.release(ctypes.addressof(schema))
    array.release(ctypes.addressof(array))


# ---- Reading


@Release
def release_schema(schema: int) -> None:
    ctypes.cast(schema, ctypes.POINTER(Schema))[0].release = Release()


@Release
def release_array(array: int) -> None:
    ctypes.cast(array, ctypes.POINTER(Array))[0].release = Release()


class Reader:
    """Builds batches of lines. It has their memory."""

    def __init__(self, text: str) -> None:
        self._lines = iter(text.splitlines())
        self._kept: list[object] = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        for line in self._lines:
            schema, array = self._node(line.split(" "))
            yield pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))

    def _keep(self, thing: object) -> object:
        self._kept.append(thing)
        return thing

    def _bytes(self, word: str) -> int | None:
        """Gives the address of the bytes of a word, aligned to 64 bytes."""
        if word == "-":
            return None
        data = bytes.fromhex(word[1:])
        memory = self._keep(ctypes.create_string_buffer(len(data) + 64))
        address = (ctypes.addressof(memory) + 63) & ~63
        ctypes.memmove(address, data, len(data))
        return address

    def _node(self, words: list[str]) -> tuple[Schema, Array]:
        form, name, metadata, *rest = words
        numbers, buffers = [int(word) for word in rest[:6]], rest[6:]
        schema = Schema(
            format=form.encode(),
            name=None if name == "-" else bytes.fromhex(name[1:]),
            metadata=self._bytes(metadata),
            flags=numbers[0],
            n_children=numbers[1],
            release=release_schema,
        )
        array = Array(
            n_children=numbers[1],
            length=numbers[3],
            null_count=numbers[4],
            offset=numbers[5],
            n_buffers=len(buffers),
            buffers=(ctypes.c_void_p * len(buffers))(*map(self._bytes, buffers)),
            release=release_array,
        )
        children = [self._node(next(self._lines).split(" ")) for _ in range(numbers[1])]
        for node, of in ((schema, 0), (array, 1)):
            pointers = [ctypes.pointer(child[of]) for child in children]
            node.children = (ctypes.POINTER(type(node)) * len(pointers))(*pointers)
        if numbers[2]:
            dictionary = self._node(next(self._lines).split(" "))
            schema.dictionary, array.dictionary = map(ctypes.pointer, dictionary)
        self._keep((schema, array))
        return schema, array


def read(path: Path) -> pa.Table:
    """Reads all batches of a file into one table, with memory of its own."""
    reader = Reader(path.read_text())
    table = pa.Table.from_batches(list(reader.batches()))
    table.validate(full=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
