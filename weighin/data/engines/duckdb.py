"""DuckDB in this process: files here or in an object store, larger than memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from weighin.contract.sources import Files, Query
from weighin.data.arrow import Unsound, must_be_sound
from weighin.data.engines import BATCH, Engine, Expression
from weighin.data.folders import WILD, data_files, fixed, refuse_table_format
from weighin.errors import NotEvaluated

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "600MB"
"""What DuckDB may hold unless WEIGHIN_MEMORY says otherwise. Counts need a fraction; more is spilled to disk."""
TYPES = {
    "integer": "BIGINT",
    "float": "DOUBLE",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
}


class DuckDB(Engine):
    """The default. Column by column: its scans are cheap, and a query for one column stays small."""

    name = "DuckDB"
    reads_once = False

    def __init__(self, memory: str = MEMORY) -> None:
        import ibis

        self._connection = ibis.duckdb.connect(
            memory_limit=os.environ.get("WEIGHIN_MEMORY", memory),
            temp_directory=f"{tempfile.gettempdir()}/weighin-duckdb-{os.getpid()}",
            autoinstall_known_extensions=False,
            TimeZone="UTC",
        )
        # Else a bar is in the output of whatever takes longer than two seconds.
        self._connection.raw_sql("SET enable_progress_bar = false")

    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Parquet and CSV by DuckDB's own readers; Arrow files and object stores through Arrow's."""
        if given.remote or given.kind == "arrow":
            return self._arrow(paths, given, types)
        found = Path(paths)
        pattern = self._listed(paths, f"*.{given.kind}")
        if given.kind == "csv":
            known = _header(pattern) & set(types)
            return self._connection.read_csv(pattern, types={c: TYPES[types[c]] for c in sorted(known)})
        return self._known(self._connection.read_parquet(pattern, hive_partitioning=found.is_dir()))

    def _listed(self, paths: str, names: str) -> list[str]:
        """Return the data files of a folder (those of these names) or a glob here; of any other path the path.

        Errors: `NotEvaluated`, `FileNotFoundError`.
        """
        is_folder = Path(paths).is_dir()
        if not is_folder and not WILD & set(paths):
            return [paths]
        pattern = str(Path(paths) / "**" / names) if is_folder else paths
        found = self._connection.con.execute("SELECT file FROM glob(?)", [pattern]).fetchall()
        if not found:
            raise FileNotFoundError(paths)
        files = data_files((name for (name,) in found), fixed(paths), paths)
        for folder in sorted({str(Path(name).parent) for name in files}):
            refuse_table_format(folder)
        return files

    def parquet(self, paths: Sequence[str]) -> Expression:
        """Return some Parquet files, whose columns need not be the same: what one of them has not is missing there."""
        return self._known(self._connection.read_parquet(list(paths), union_by_name=True, hive_partitioning=False))

    def _known(self, table: Any) -> Any:
        """Return the same with nanoseconds cut to microseconds: Ibis does not know DuckDB's type for those with a
        zone.
        """
        name = table.get_name()
        described = self._connection.con.sql(f"DESCRIBE {name}").fetchall()
        fine = [column for column, kind, *_ in described if kind == "TIMESTAMPTZ_NS"]
        if not fine:
            return table
        replaced = ", ".join(f"CAST({_quoted(c)} AS TIMESTAMPTZ) AS {_quoted(c)}" for c in fine)
        return self._view(f"SELECT * REPLACE ({replaced}) FROM {name}")  # noqa: S608 - names, quoted

    def _view(self, select: str) -> Any:
        name = self.view()
        self._connection.con.execute(f"CREATE TEMP VIEW {name} AS {select}")
        return self._connection.table(name)

    def batches(self, expression: Expression) -> Iterator[pa.RecordBatch]:
        """Ibis asks DuckDB for batches by a name that it no longer has."""
        yield from self._connection.con.sql(self._connection.compile(expression)).to_arrow_reader(BATCH)

    def _arrow(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow import csv, fs

        system, inner = _store(paths) if given.remote else (fs.LocalFileSystem(), paths)
        form: Any = ds.IpcFileFormat() if given.kind == "arrow" else ds.ParquetFileFormat()
        if given.kind == "csv":
            texts = dict.fromkeys(types, pa.string())
            form = ds.CsvFileFormat(
                convert_options=csv.ConvertOptions(column_types=texts, null_values=[""], strings_can_be_null=True)
            )
        files = _stored(system, inner, paths) if given.remote else self._listed(inner, "*")
        options = ds.FileSystemFactoryOptions("" if files == [inner] else str(fixed(inner)))
        options.partitioning_factory = ds.HivePartitioning.discover()
        dataset = ds.FileSystemDatasetFactory(system, files, form, options).finish()
        for name in dataset.files if given.kind == "arrow" else ():
            # Arrow's scanner believes the lengths in a file, and would read beyond its buffers.
            with system.open_input_file(name) as file:
                try:
                    must_be_sound(file)
                except Unsound as error:
                    raise NotEvaluated(f"not a sound Arrow file: {error}", paths, "Write it again.") from error
        return self._typed(dataset, types) if given.kind == "csv" else self.registered(dataset)

    def _typed(self, texts: Any, types: Mapping[str, str]) -> Expression:
        """Texts in the contract's types, as DuckDB's own CSV reader would have them."""
        name = self.view()
        self._connection.con.register(name, texts)
        known = [c for c in texts.schema.names if c in types]
        if not known:
            return self._connection.table(name)
        casts = ", ".join(f"CAST({_quoted(c)} AS {TYPES[types[c]]}) AS {_quoted(c)}" for c in known)
        return self._view(f"SELECT * REPLACE ({casts}) FROM {name}")  # noqa: S608 - names, quoted

    def registered(self, rows: pa.Table) -> Expression:
        """Return an Arrow dataset or table as an Ibis table, without a copy."""
        name = self.view()
        self._connection.con.register(name, rows)
        return self._known(self._connection.table(name))

    def query(self, given: Query) -> Expression:
        """DuckDB has no tables of its own here."""
        raise NotEvaluated("a table needs a `connection`", str(given.table or given.query), "Name one.")

    def sample(self, expression: Expression, share: float) -> Expression:
        """By a hash of the row's number, in the order of the files: a hash of its values would favour none or all
        copies of a row that repeats."""
        # Ibis writes a frame into the window, and DuckDB then holds the whole table instead of streaming it.
        rows = self._connection.compile(expression)
        names = ", ".join(_quoted(c) for c in expression.columns)
        return self._view(
            f"SELECT {names} FROM (SELECT *, row_number() OVER () AS weighin_row FROM ({rows})) "  # noqa: S608
            f"WHERE hash(weighin_row) % 1000003 < {int(share * 1_000_003)}"
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.disconnect()

    def failures(self) -> tuple[type[BaseException], ...]:
        """DuckDB's errors."""
        import duckdb

        return (duckdb.Error,)


def _store(address: str) -> tuple[Any, str]:
    """Return the object store that an address leads to, and the place in it; the environment says the rest."""
    from pyarrow import fs

    if not address.startswith("s3://"):
        return fs.FileSystem.from_uri(address)  # type: ignore[no-any-return]
    # By an address alone Arrow tries again for minutes where nobody answers; its file system of S3 tries three times.
    place = unquote(address.removeprefix("s3://")).rstrip("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = None if endpoint else fs.resolve_s3_region(place.partition("/")[0])
    return fs.S3FileSystem(endpoint_override=endpoint, region=region), place


def _stored(system: Any, inner: str, paths: str) -> list[str]:
    """Return the data files of a folder in an object store; of any other path the path. Errors: `NotEvaluated`."""
    from pyarrow import fs

    if system.get_file_info(inner).type != fs.FileType.Directory:
        return [inner]
    found = system.get_file_info(fs.FileSelector(inner, recursive=True))
    return data_files((one.path for one in found if one.type == fs.FileType.File), PurePosixPath(inner), paths)


def _header(pattern: list[str]) -> set[str]:
    """Names of the columns of the first CSV file, so that only those that are there are given a type."""
    import duckdb

    with duckdb.connect() as connection:
        return set(connection.read_csv(pattern, all_varchar=True).columns)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
