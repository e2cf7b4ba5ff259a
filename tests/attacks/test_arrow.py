"""Arrow files that lie: about how many rows there are, how long a buffer is, what it becomes, where it lies."""

from __future__ import annotations

import faulthandler
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from weighin.contract.sources import Files
from weighin.data import arrow
from weighin.data.engines.duckdb import DuckDB
from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated
from weighin.load.log import Response, read_log, write_log
from weighin.model.answers import FEATURES, prediction_columns, read_predictions

ROWS = 40
DIGEST = "sha256:" + "5" * 64


def left(path: Path, values: np.ndarray, batches: int = 1, **options: Any) -> Path:
    """A file of predictions as `weighin step predict` leaves it, from (rows, columns) values; or otherwise."""
    names = prediction_columns(values.shape[1])
    schema = pa.schema([(n, pa.float64()) for n in names], metadata={FEATURES: DIGEST.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer,
    ):
        for part in np.array_split(values, batches):
            writer.write_batch(pa.record_batch(list(np.ascontiguousarray(part.T)), schema=schema))
    return path


class Layout:
    """Where the numbers stand that a file says of itself: of its first batch, and of its footer."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, bytearray(path.read_bytes())
        (length,) = struct.unpack("<i", self.data[-10:-6])
        self.footer = len(self.data) - 10 - length
        footer = arrow._Table.root(bytes(self.data[self.footer : -10]))
        self.vector = self.footer + footer.place(3)
        self.vector += struct.unpack_from("<I", self.data, self.vector)[0]
        self.blocks = [(o, m, b) for o, m, _, b in footer.structs(3, "<qiiq", 1000)]
        self.start, metadata, _ = self.blocks[0]
        message = arrow._Table.root(bytes(self.data[self.start + 8 : self.start + metadata]))
        self.body, self.batch = self.start + metadata, message.table(2)
        self.body_length = self.start + 8 + message.place(3)

    def write(self, place: int, value: int, form: str = "<q") -> None:
        struct.pack_into(form, self.data, place, value)

    def rows(self) -> int:
        return self.start + 8 + self.batch.place(0)

    def entry(self, vector: int, number: int) -> int:
        """Where a node (vector 1) or a buffer (vector 2) is described."""
        place = self.batch.place(vector)
        place += struct.unpack_from("<I", self.batch.data, place)[0]
        return self.start + 8 + place + 4 + 16 * number

    def save(self) -> Path:
        self.path.write_bytes(self.data)
        return self.path


def apart(function: Callable[[], Result]) -> Result:
    """What an attack comes to in a process of its own: one that dies of a signal has read what was not its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        faulthandler.disable()  # a child that dies is what is looked for, and no news
        try:
            os.write(write, function().name.encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        said = answer.read().decode()
    _, status = os.waitpid(child, 0)
    return Result.OUT_OF_BOUNDS if os.WIFSIGNALED(status) else Result[said]


def believed(path: Path, _: int) -> pa.Table:
    """What a file holds to Arrow, which takes every length and offset in it for true."""
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def predictions_read(path: Path, rows: int) -> Result:
    """Values beyond what the file's body holds come from this process's memory."""

    def read() -> Result:
        held = path.stat().st_size // 8
        try:
            return Result.OUT_OF_BOUNDS if len(read_predictions(path, rows, 1, DIGEST)) > held else Result.BLOCKED
        except NotEvaluated as error:
            # Bytes of a heap are seldom finite numbers all of them; that they were looked at is the harm.
            return Result.OUT_OF_BOUNDS if "NaN" in str(error) or "infinite" in str(error) else Result.BLOCKED

    return apart(read)


def more_rows(place: Path, wall: bool) -> Result:
    layout, many = Layout(left(place / "p/holdout.arrow", np.full((ROWS, 1), 0.5))), 20 * ROWS
    layout.write(layout.rows(), many)
    layout.write(layout.entry(1, 0), many)
    with replaced(wall, "weighin.data.table.read_table", believed):
        return predictions_read(layout.save(), many)


def short_buffer(place: Path, wall: bool) -> Result:
    """All counts are right; the buffer that must hold them is said to be as long as one value."""
    layout = Layout(left(place / "p/holdout.arrow", np.full((ROWS, 1), 0.5)))
    layout.write(layout.entry(2, 1) + 8, 8)

    def read() -> Result:
        try:
            values = read_arrow(layout.path, "predictions", 2**20).column(0)
        except NotEvaluated:
            return Result.BLOCKED
        # The array claims rows that its buffer, which is another piece of memory, does not have.
        return Result.OUT_OF_BOUNDS if values.chunk(0).buffers()[1].size < 8 * len(values) else Result.BLOCKED

    layout.save()
    with replaced(wall, "weighin.data.table.read_table", believed):
        return apart(read)


def bomb(place: Path, wall: bool) -> Result:
    """A few kilobytes of compressed zeros that become a hundred megabytes of the judge's memory."""
    path = left(place / "p/holdout.arrow", np.zeros((4_000_000, 1)), compression="zstd")

    def read() -> Result:
        try:
            table = read_arrow(path, "predictions", 2**20)
        except NotEvaluated:
            return Result.BLOCKED
        return Result.UNBOUNDED if table.nbytes > 100 * path.stat().st_size else Result.BLOCKED

    with replaced(wall, "weighin.data.arrow._must_fit", lambda *_: None):
        return apart(read)


def one_batch_often(place: Path, wall: bool) -> Result:
    """The footer lists the same batch again and again: a small file is read as a large table."""
    layout = Layout(left(place / "p/holdout.arrow", np.full((20_000, 1), 0.5), batches=60))
    for number in range(1, 60):
        at, first = layout.vector + 4 + 24 * number, layout.vector + 4
        layout.data[at : at + 24] = layout.data[first : first + 24]
    # What the other batches held is not needed any more.
    begins, ends = layout.body + layout.blocks[0][2], layout.blocks[-1][0] + sum(layout.blocks[-1][1:])
    layout.data[begins:ends] = b""
    layout.save()

    def read() -> Result:
        try:
            table = read_arrow(layout.path, "predictions", 2**20)
        except NotEvaluated:
            return Result.BLOCKED
        return Result.UNBOUNDED if table.num_rows * 8 > 10 * layout.path.stat().st_size else Result.BLOCKED

    with replaced(wall, "weighin.data.arrow._blocks", lambda *_: []):
        return apart(read)


def load_log(place: Path) -> Layout:
    path = place / "load/candidate-0/responses-candidate-0.arrow"
    write_log(path, 0, [Response("load", 0.0, 0.0, 0.1, "late", (n, n + 1), (0.5, 0.5)) for n in range(8)])
    return Layout(path)


def _log_read(layout: Layout) -> Result:
    def read() -> Result:
        try:
            log = read_log([layout.save()])
        except NotEvaluated:
            return Result.BLOCKED
        except (UnicodeDecodeError, MemoryError):
            return Result.OUT_OF_BOUNDS  # the heap was looked at, and is no text
        own = max(len(e) for e in log.errors) <= 8 * len("late") and max(len(r) for r in log.rows) <= 16
        return Result.BLOCKED if own else Result.OUT_OF_BOUNDS

    return apart(read)


def text_beyond_its_buffer(place: Path, wall: bool) -> Result:
    """The last text of a column ends, it says, far behind the texts that there are."""
    layout = load_log(place)
    offsets = layout.body + struct.unpack_from("<q", layout.data, layout.entry(2, 12))[0]
    assert struct.unpack_from("<9i", layout.data, offsets) == tuple(range(0, 36, 4))
    layout.write(offsets + 32, 4_000, "<i")
    with replaced(wall, "weighin.data.arrow._validate", lambda _: None):
        return _log_read(layout)


def list_beyond_its_values(place: Path, wall: bool) -> Result:
    layout = load_log(place)
    offsets = layout.body + struct.unpack_from("<q", layout.data, layout.entry(2, 15))[0]
    assert struct.unpack_from("<9i", layout.data, offsets) == tuple(range(0, 18, 2))
    layout.write(offsets + 32, 4_000, "<i")
    with replaced(wall, "weighin.data.arrow._validate", lambda _: None):
        return _log_read(layout)


def data_with_more_rows(place: Path, wall: bool) -> Result:
    """A file of data, which the step that holds the registry's credentials reads."""
    layout, many = Layout(left(place / "data.arrow", np.full((ROWS, 1), 0.5))), 50 * ROWS
    layout.write(layout.rows(), many)
    layout.write(layout.entry(1, 0), many)
    layout.save()

    def read() -> Result:
        engine = DuckDB()
        try:
            with engine.reading("data"):
                found = engine.files(str(layout.path), Files(path="data.arrow"), {}).to_pyarrow()
        except NotEvaluated:
            return Result.BLOCKED
        return Result.OUT_OF_BOUNDS if found.num_rows > ROWS else Result.BLOCKED

    with replaced(wall, "weighin.data.engines.duckdb.must_be_sound", lambda _: None):
        return apart(read)


ATTACKS = [
    Attack("a model claims more predictions than its file holds", more_rows, Result.OUT_OF_BOUNDS),
    Attack("a model's buffer of predictions is shorter than its rows", short_buffer, Result.OUT_OF_BOUNDS),
    Attack("a model leaves compressed predictions that fill the memory", bomb, Result.UNBOUNDED),
    Attack("a model lists one batch of predictions many times", one_batch_often, Result.UNBOUNDED),
    Attack("a text of a load log ends behind its buffer", text_beyond_its_buffer, Result.OUT_OF_BOUNDS),
    Attack("a list of a load log ends behind its values", list_beyond_its_values, Result.OUT_OF_BOUNDS),
    Attack("a file of data claims more rows than it holds", data_with_more_rows, Result.OUT_OF_BOUNDS),
]


REFUSED, IDENTICAL, OUT_OF_BOUNDS = b"rio"
LIES = (-1, 0, 1, 7, 8, 2**31 - 1, 2**31, 2**32, 2**62, -(2**63))


def fuzz(count: int, seed: int = 0) -> tuple[int, int, int]:
    """Read so many mutated files of predictions; returns how many were refused, identical, and out of bounds.

    refused        `NotEvaluated`
    identical      the values are, bit for bit, those that stand in the mutated file where the whole file had them; a
                   changed prediction is one of them, since predictions carry no checksum
    out of bounds  any other value, any other exception, or the end of the reading process by a signal
    Each file is read by `read_predictions` in a forked process, which is replaced when it dies.
    """
    counts = {REFUSED: 0, IDENTICAL: 0, OUT_OF_BOUNDS: 0}
    with tempfile.TemporaryDirectory() as folder:
        done = 0
        while done < count:
            said = _fuzzed(Path(folder), done, count, seed)
            for letter in said:
                counts[letter] += 1
            done += len(said)
            if done < count:
                counts[OUT_OF_BOUNDS] += 1
                done += 1
    return counts[REFUSED], counts[IDENTICAL], counts[OUT_OF_BOUNDS]


def _fuzzed(folder: Path, first: int, count: int, seed: int) -> bytes:
    """A letter for each file from `first` on, up to the one of which the process died."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        faulthandler.disable()
        try:
            for number in range(first, count):
                os.write(write, bytes([_one(folder, np.random.default_rng([seed, number]))]))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def _one(folder: Path, rng: np.random.Generator) -> int:
    rows, columns, batches = int(rng.integers(1, 400)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    layout = Layout(left(folder / "p/holdout.arrow", rng.random((rows, columns)), batches))
    places = [
        (o + m, len(p)) for (o, m, _), p in zip(layout.blocks, np.array_split(np.zeros(rows), batches), strict=True)
    ]
    for _ in range(int(rng.integers(1, 4))):
        _mutate(layout, rng)
    layout.save()
    data = bytes(layout.data)
    try:
        found = read_predictions(layout.path, rows, columns, DIGEST).reshape(rows, columns)
    except NotEvaluated:
        return REFUSED
    except BaseException:  # noqa: BLE001 - whatever else it is, it was not refused
        return OUT_OF_BOUNDS
    parts = []
    for body, length in places:
        each = [body + c * 8 * length for c in range(columns)]
        if any(place + 8 * length > len(data) for place in each):
            return OUT_OF_BOUNDS
        parts.append(np.column_stack([np.frombuffer(data, "<f8", length, place) for place in each]))
    return IDENTICAL if np.concatenate(parts).tobytes() == found.tobytes() else OUT_OF_BOUNDS


def _mutate(layout: Layout, rng: np.random.Generator) -> None:
    data = layout.data
    # Of a file of numbers most bytes are numbers: what is said of them is mutated more often.
    spans = [(o, o + m) for o, m, _ in layout.blocks] + [(layout.footer, len(data))]
    first, last = spans[int(rng.integers(len(spans)))]
    first, last = min(first, len(data) - 9), min(last, len(data))
    kind = rng.integers(7)
    if len(data) < 64 or last - first < 16:
        return
    if kind == 0:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[int(rng.integers(first, last))] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        place = first + 4 * int(rng.integers((last - first - 8) // 4))
        struct.pack_into("<q", data, place, LIES[int(rng.integers(len(LIES)))])
    elif kind == 3:
        place = first + 4 * int(rng.integers((last - first - 8) // 4))
        (was,) = struct.unpack_from("<i", data, place)
        struct.pack_into("<i", data, place, (was + int(rng.integers(-64, 65))) % 2**31)
    elif kind == 4:
        del data[int(rng.integers(len(data))) :]
    elif kind == 5:
        size = 8 * int(rng.integers(1, 8))
        one, other = (8 * int(rng.integers(max(1, (len(data) - size) // 8))) for _ in range(2))
        data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]
    else:
        entries = [layout.vector + 4 + 24 * i for i in range(len(layout.blocks))]
        one, other = (entries[int(rng.integers(len(entries)))] for _ in range(2))
        if max(one, other) + 24 <= len(data):
            data[one : one + 24], data[other : other + 24] = data[other : other + 24], data[one : one + 24]


def test_of_mutated_files_none_is_read_out_of_bounds() -> None:
    refused, identical, out_of_bounds = fuzz(200)
    assert out_of_bounds == 0
    # Or nothing was tried.
    assert refused > 100
    assert identical > 10


def test_the_fuzz_notices_a_reader_that_believes_the_file() -> None:
    with replaced(False, "weighin.data.table.read_table", believed):
        assert fuzz(200)[2] > 0


def test_data_may_be_compressed_but_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = left(tmp_path / "data.arrow", np.zeros((1000, 1)), compression="zstd")
    with pa.OSFile(str(path)) as file:
        arrow.must_be_sound(file)
    monkeypatch.setattr(arrow, "BATCH_BYTES", 7_999)
    with pa.OSFile(str(path)) as file, pytest.raises(arrow.Unsound, match="larger than 7999"):
        arrow.must_be_sound(file)
