"""Arrow files that a stranger wrote: their layout is read and checked before any value is.

Arrow's own reader believes the lengths and offsets that stand in a file, and an array that claims more rows than its
buffers hold is read beyond them: bytes of this process become numbers. So the metadata is parsed here first, in Python,
where every access is checked; then Arrow reads, and validates each batch in full.

Source: Arrow columnar format 1.5, "IPC File Format" and "Buffer Compression"; FlatBuffers' internals.
"""

from __future__ import annotations

import os
import stat
import struct
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MAGIC = b"ARROW1"
FOOTER_BYTES = 16 * 2**20
BATCHES = 64
"""What this package writes has one batch, or one for each part of a table."""
BATCH_BYTES = 2**30
"""Of a file of data, whose buffers may be compressed: what a batch of it may become."""

REFUSED = (pa.ArrowException, UnicodeError, MemoryError, OverflowError)
"""What Arrow raises of a file; names of columns that are no text among it."""

Read = Callable[[int, int], bytes]
"""Bytes of a file from an offset, as many as are asked for. Errors: `Unsound` where the file is shorter."""


class Unsound(ValueError):
    """A file whose layout is not what a writer of Arrow leaves. The message holds nothing of the file."""


def read_table(path: Path, most: int) -> pa.Table:
    """Return a table from a file that this package's own writers could have left, however it came to be.

    most  largest size in bytes
    Refused are compressed buffers, dictionaries, types other than numbers, text and lists of numbers, and every layout
    but the one that Arrow's writer gives: buffers one after the other, each as long as its rows need.
    Errors: `Unsound` with what is wrong; `OSError`.
    """
    content = _content(path, most)
    blocks = _blocks(lambda offset, size: _part(content, offset, size), len(content))
    if len(blocks) > BATCHES:
        raise Unsound(f"more than {BATCHES} batches")
    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as reader:
            schema = reader.schema
            for offset, metadata, body in blocks:
                _must_fit(content[offset + 8 : offset + metadata], schema, body)
            table = reader.read_all()
        _validate(table)
    except REFUSED as error:
        raise Unsound("Arrow refuses it") from error
    return table


class Doubles:
    """Columns of doubles in a file of one batch, which is checked as `read_table` does and then read in parts.

    Errors: `Unsound` with what is wrong; `OSError`.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        known = os.fstat(self._file)
        if not stat.S_ISREG(known.st_mode) or known.st_size > most:
            raise Unsound(f"it is no regular file, or larger than {most} bytes")
        blocks = _blocks(self._read, known.st_size)
        if len(blocks) != 1:
            raise Unsound("it has not one batch")
        ((offset, metadata, body),) = blocks
        listed = self._read(offset + 8, metadata - 8)
        try:
            # Mapped, and no value of it is looked at.
            with pa.memory_map(str(path)) as opened, pa.ipc.open_file(opened) as reader:
                self.schema, self.names = reader.schema, reader.schema.names
                reader.get_batch(0).validate()
        except REFUSED as error:
            raise Unsound("Arrow refuses it") from error
        _must_fit(listed, self.schema, body)
        if {field.type for field in self.schema} != {pa.float64()}:
            raise Unsound("it holds another type than doubles")
        batch = _batch(listed, body)
        if any(missing for _, missing in batch.structs(1, "<qq", len(listed) // 16)):
            raise Unsound("values are missing")
        self.num_rows = batch.number(0, "<q")
        buffers = batch.structs(2, "<qq", len(listed) // 16)
        self._places = [offset + metadata + start for start, _ in buffers[1::2]]

    def _read(self, offset: int, size: int) -> bytes:
        found = os.pread(self._file, size, offset) if offset >= 0 and size >= 0 else b""
        if len(found) != size:
            raise Unsound("it is shorter than it says")
        return found

    def part(self, column: int, start: int, end: int) -> NDArray[np.float64]:
        """Return the values of some rows. Errors: `Unsound` where the file has become shorter."""
        return np.frombuffer(self._read(self._places[column] + 8 * start, 8 * (end - start)), dtype="<f8")


def _validate(table: pa.Table) -> None:
    table.validate(full=True)


def must_be_sound(file: pa.NativeFile) -> None:
    """Check an open file of data, which may be compressed and hold any type: its layout, then every batch in full.

    Errors: `Unsound`; `OSError`.
    """
    size = file.size()

    def read(offset: int, count: int) -> bytes:
        if offset < 0 or count < 0 or offset + count > size:
            raise Unsound("it is shorter than it says")
        file.seek(offset)
        return bytes(file.read(count))

    for offset, metadata, body in _blocks(read, size):
        _must_be_bounded(read, offset, metadata, body)
    try:
        with pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                reader.get_batch(number).validate(full=True)
    except REFUSED as error:
        raise Unsound("Arrow refuses it") from error


def _content(path: Path, most: int) -> bytes:
    """Return a regular file, opened once and without following a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode):
            raise Unsound("it is no regular file")
        if known.st_size > most:
            raise Unsound(f"it is larger than {most} bytes")
        content = file.read(most + 1)
    if len(content) != known.st_size:
        raise Unsound("it changed while it was read")
    return content


def _part(content: bytes, offset: int, size: int) -> bytes:
    if offset < 0 or size < 0 or offset + size > len(content):
        raise Unsound("it is shorter than it says")
    return content[offset : offset + size]


class _Table:
    """A table of FlatBuffers: fields by number, each looked up with its bounds checked."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self._place = data, place
        self._fields = place - _number(data, "<i", place)
        self._size = _number(data, "<H", self._fields)

    @staticmethod
    def root(data: bytes) -> _Table:
        return _Table(data, _number(data, "<I", 0))

    def place(self, field: int) -> int:
        """Where a field is; 0 for one that is absent."""
        entry = 4 + 2 * field
        away = _number(self.data, "<H", self._fields + entry) if entry + 2 <= self._size else 0
        return self._place + away if away else 0

    def number(self, field: int, form: str) -> int:
        """Return a number; 0, as FlatBuffers has it, for one that is absent."""
        place = self.place(field)
        return _number(self.data, form, place) if place else 0

    def table(self, field: int) -> _Table:
        place = self.place(field)
        if not place:
            raise Unsound("its metadata is incomplete")
        return _Table(self.data, place + _number(self.data, "<I", place))

    def structs(self, field: int, form: str, most: int) -> list[tuple[int, ...]]:
        """Return a vector of structures; empty for one that is absent."""
        place = self.place(field)
        if not place:
            return []
        place += _number(self.data, "<I", place)
        count, size = _number(self.data, "<I", place), struct.calcsize(form)
        if count > most or place + 4 + count * size > len(self.data):
            raise Unsound("its metadata lists more than there is")
        return [struct.unpack_from(form, self.data, place + 4 + i * size) for i in range(count)]


def _number(data: bytes, form: str, place: int) -> int:
    if place < 0 or place + struct.calcsize(form) > len(data):
        raise Unsound("its metadata points beyond itself")
    value: int = struct.unpack_from(form, data, place)[0]
    return value


Block = tuple[int, int, int]
"""Offset of a message in the file, bytes of its metadata with the prefix of 8, bytes of its body."""


def _blocks(read: Read, size: int) -> list[Block]:
    """Return the record batches that a file's footer lists, in order and apart from each other. Errors: `Unsound`."""
    if read(0, 6) != MAGIC or read(size - 6, 6) != MAGIC:
        raise Unsound("it does not begin and end as an Arrow file does")
    (length,) = struct.unpack("<i", read(size - 10, 4))
    if not 0 < length <= FOOTER_BYTES:
        raise Unsound("its footer has no possible length")
    end = size - 10 - length
    footer = _Table.root(read(end, length))
    if footer.table(1).number(0, "<h"):
        raise Unsound("its numbers are of another byte order")
    found = [(offset, metadata, body) for offset, metadata, _, body in footer.structs(3, "<qiiq", length // 24)]
    before = 8
    for offset, metadata, body in found:
        if offset < before or offset % 8 or metadata < 16 or metadata > FOOTER_BYTES or body < 0:
            raise Unsound("its batches overlap, or lie nowhere")
        before = offset + metadata + body
        if before > end:
            raise Unsound("a batch reaches beyond the file")
        if read(offset, 8) != struct.pack("<Ii", 0xFFFFFFFF, metadata - 8):
            raise Unsound("a batch does not begin where the footer says")
    return found


def _batch(metadata: bytes, body: int) -> _Table:
    message = _Table.root(metadata)
    if message.number(1, "<B") != 3 or message.number(3, "<q") != body:
        raise Unsound("a batch is no batch, or of another length than the footer says")
    return message.table(2)


def _must_fit(metadata: bytes, schema: pa.Schema, body: int) -> None:
    """Check that a batch's buffers lie as Arrow's writer puts them, and hold what the schema needs."""
    batch = _batch(metadata, body)
    if batch.place(3) or batch.place(4):
        raise Unsound("its buffers are compressed, or of a type that is not used here")
    rows = batch.number(0, "<q")
    nodes = batch.structs(1, "<qq", len(metadata) // 16)
    buffers = batch.structs(2, "<qq", len(metadata) // 16)
    wanted = [kind for field in schema for kind in _nodes(field.type)]
    if len(nodes) != len(wanted) or len(buffers) != sum(len(k.widths) + 1 for k in wanted):
        raise Unsound("its batches do not hold the columns of its schema")
    listed, end = iter(buffers), 0
    for (length, missing), kind in zip(nodes, wanted, strict=True):
        if not 0 <= missing <= length or (kind.top and length != rows):
            raise Unsound("a column has another number of rows than its batch")
        needed = [(length + 7) // 8 if missing else 0, *((length + extra) * bits // 8 for extra, bits in kind.widths)]
        for number, least in enumerate(needed):
            offset, size = next(listed)
            # Zero or one byte more than eight bits need: of text the length stands in the offsets, which Arrow checks.
            exact = size == least or (not number and not missing and size in (0, (length + 7) // 8))
            empty = kind.widths and not length and not size
            free = kind.text and number == len(needed) - 1
            if not (exact or empty or (free and size >= 0)) or not end <= offset <= end + 63 or offset % 8:
                raise Unsound("a buffer is of another length than its rows need, or lies elsewhere")
            end = offset + size
    if not end <= body <= end + 63:
        raise Unsound("a batch is longer than its buffers")


class _Node:
    """One array of a column: what its buffers beside the one of missing values need.

    widths  (more than one for each row, bits of each)
    text    whether the last buffer holds text, of any length
    """

    def __init__(self, widths: list[tuple[int, int]], *, text: bool = False, top: bool = True) -> None:
        self.widths, self.text, self.top = widths, text, top


def _nodes(kind: pa.DataType, *, top: bool = True) -> list[_Node]:
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return [_Node([(0, kind.bit_width)], top=top)]
    if pa.types.is_string(kind):
        return [_Node([(1, 32), (0, 0)], text=True, top=top)]
    if pa.types.is_list(kind) and top:
        return [_Node([(1, 32)], top=top), *_nodes(kind.value_type, top=False)]
    raise Unsound("it holds a type that nothing here writes")


def _must_be_bounded(read: Read, offset: int, metadata: int, body: int) -> None:
    """Check a batch that may be compressed: its buffers lie in its body, and become no more than a batch may be."""
    listed = read(offset + 8, metadata - 8)
    batch = _batch(listed, body)
    total, packed = 0, bool(batch.place(3))
    for start, size in batch.structs(2, "<qq", len(listed) // 16):
        if start < 0 or size < 0 or start + size > body:
            raise Unsound("a buffer reaches beyond its batch")
        # The length that a compressed buffer has in the end stands before it; -1 where it is not compressed after all.
        becomes = struct.unpack("<q", read(offset + metadata + start, 8))[0] if packed and size >= 8 else size
        total += size if becomes == -1 else becomes
        if becomes < -1 or total > BATCH_BYTES:
            raise Unsound(f"a batch of it is larger than {BATCH_BYTES} bytes")
