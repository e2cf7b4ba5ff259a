"""DuckDB in this process: files here or in an object store, larger than memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from weighin.contract.sources import Files, Query
from weighin.data.arrow import Unsound, must_be_sound
from weighin.data.engines import BATCH, Engine, Expression
from weighin.data.engines.csv_dialect import Sql, arrow_format, header, must_name, partition_dialect
from weighin.data.folders import WILD, data_files, fixed, refuse_table_format
from weighin.data.names import must_differ, partitions
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
    """The default."""

    name = "DuckDB"
    tallies = True

    def __init__(self, memory: str = MEMORY) -> None:
        import ibis

        self._connection = ibis.duckdb.connect(
            memory_limit=os.environ.get("WEIGHIN_MEMORY", memory),
            temp_directory=f"{tempfile.gettempdir()}/weighin-duckdb-{os.getpid()}",
            autoinstall_known_extensions=False,
            TimeZone="UTC",
        )
        self._scans: dict[str, list[str]] = {}
        # Else a bar is in the output of whatever takes longer than two seconds.
        self._connection.raw_sql("SET enable_progress_bar = false")

    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Parquet by DuckDB's own reader; CSV, Arrow files and object stores through Arrow's."""
        if given.kind == "csv":
            return self._csv(paths, given, types)
        if given.remote or given.kind == "arrow":
            return self._arrow(paths, given, types)
        found = Path(paths)
        files = self._listed(paths, f"*.{given.kind}")
        _must_differ(files[0], types)
        if not found.is_dir():
            table = self._connection.read_parquet(files, hive_partitioning=False)
            self._scans[table.get_name()] = files
            return self._known(table)
        # As texts: DuckDB would make 7 of `007`.
        table = self._connection.read_parquet(files, hive_partitioning=True, hive_types_autocast=False)
        return self._known(self._in_types(table, partitions(files, str(found)), types, paths))

    def _in_types(self, table: Any, texts: Sequence[str], types: Mapping[str, str], paths: str) -> Any:
        """Return a table whose partition columns have the contract's types."""
        dialect = partition_dialect(paths)
        typed = [f"{SQL.typed(_quoted(c), c, types.get(c, 'string'), dialect)} AS {_quoted(c)}" for c in texts]
        if not typed:
            return table
        return self._view(f"SELECT * REPLACE ({', '.join(typed)}) FROM {table.get_name()}")  # noqa: S608 - quoted

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
        import pyarrow.dataset as ds
        from pyarrow import fs

        system, inner = _store(paths) if given.remote else (fs.LocalFileSystem(), paths)
        form = ds.IpcFileFormat() if given.kind == "arrow" else ds.ParquetFileFormat()
        files = self._files(system, inner, paths, given)
        must_differ(form.inspect(files[0], system).names, types, paths)
        dataset, folders = _dataset(system, inner, files, form)
        for name in dataset.files if given.kind == "arrow" else ():
            # Arrow's scanner believes the lengths in a file, and would read beyond its buffers.
            with system.open_input_file(name) as file:
                try:
                    must_be_sound(file)
                except Unsound as error:
                    raise NotEvaluated(f"not a sound Arrow file: {error}", paths, "Write it again.") from error
        table = self.registered(dataset)
        return self._in_types(table, folders, types, paths)

    def _files(self, system: Any, inner: str, paths: str, given: Files) -> list[str]:
        """Return the data files of a source. Errors: `NotEvaluated`, `FileNotFoundError`."""
        names = f"*.{given.kind}*" if given.kind == "csv" else "*"
        return _stored(system, inner, paths) if given.remote else self._listed(inner, names)

    def _csv(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Return CSV files in the contract's types: Arrow splits them into texts, DuckDB reads the texts."""
        from pyarrow import fs

        system, inner = _store(paths) if given.remote else (fs.LocalFileSystem(), paths)
        files = self._files(system, inner, paths, given)
        headers = (_header(system, file, given) for file in files)
        names = must_name(headers, given, types, paths)
        dataset, _ = _dataset(system, inner, files, arrow_format(given, names))
        view, partition = self.view(), partition_dialect(paths)
        self._connection.con.register(view, dataset)
        columns = [
            f"{SQL.typed(_quoted(c), c, types.get(c, 'string'), given if c in names else partition)} AS {_quoted(c)}"
            for c in dataset.schema.names
        ]
        return self._view(f"SELECT {', '.join(columns)} FROM {view}")  # noqa: S608 - names, quoted

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
        numbered = self._numbered(expression)
        if not numbered:
            # Ibis writes a frame into the window, and DuckDB then holds the whole table instead of streaming it.
            numbered = f"SELECT *, row_number() OVER () AS weighin_row FROM ({self._connection.compile(expression)})"  # noqa: S608
        names = ", ".join(_quoted(c) for c in expression.columns)
        return self._view(
            f"SELECT {names} FROM ({numbered}) WHERE hash(weighin_row) % 1000003 < {int(share * 1_000_003)}"  # noqa: S608
        )

    def _numbered(self, expression: Expression) -> str:
        """Return a query for whole Parquet files with the numbers that the rows have in them: a window would be one
        thread's. Nothing for anything else."""
        import pyarrow.parquet as pq
        from ibis.expr.operations import DatabaseTable

        op = expression.op()
        files = self._scans.get(op.name, ()) if isinstance(op, DatabaseTable) else ()
        if not files or {"file_index", "file_row_number"} & set(expression.columns):
            return ""
        before = [0, *accumulate(pq.read_metadata(file).num_rows for file in files)]
        row = f"{before}[file_index::BIGINT + 1] + file_row_number + 1"
        return (
            f"SELECT *, {row} AS weighin_row "  # noqa: S608 - numbers, and names of files, quoted
            f"FROM read_parquet([{', '.join(map(_literal, files))}], hive_partitioning = false)"
        )

    def tally(self, rows: Expression, most: int) -> list[tuple[pa.Table, int]] | None:
        """One GROUP BY with a set for each column, and the engine's sketch of what comes out: it depends on the set
        of the values alone."""
        import pyarrow.compute as pc

        schema = rows.schema()
        columns = [name for name in schema if name != "key"]
        # Of a row of the answer one column has a value, or none.
        kinds = {name: "text" if schema[name].is_string() else "number" for name in columns}
        numbers, texts = (", ".join(c for c in columns if kinds[c] == kind) for kind in ("number", "text"))
        number = f"coalesce({numbers}, NULL)" if numbers else "NULL::DOUBLE"
        text = f"coalesce({texts}, NULL)" if texts else "NULL::VARCHAR"
        key = ["key"] if "key" in schema else []
        sets = ", ".join(f"({', '.join([*key, c])})" for c in columns)
        con = self._connection.con
        counted = con.sql(
            f"SELECT {', '.join([*key, f'{number} AS number', f'{text} AS text'])}, "  # noqa: S608 - our own names
            f"grouping({', '.join(columns)}) AS others, count(*) AS n "
            f"FROM ({self._connection.compile(rows)}) GROUP BY GROUPING SETS ({sets}) LIMIT {most + 1}"
        ).to_arrow_table()
        if counted.num_rows > most:
            return None
        view = self.view()
        con.register(view, counted)
        sketch = "greatest(approx_count_distinct(number), approx_count_distinct(text))"
        distinct = dict(con.sql(f"SELECT others, {sketch} FROM {view} GROUP BY others").fetchall())  # noqa: S608
        con.unregister(view)
        found = []
        for i, column in enumerate(reversed(columns)):
            # A bit for each column, the last the lowest, says whether it is left out of a set.
            others = (1 << len(columns)) - 1 - (1 << i)
            own = counted.filter(pc.equal(counted["others"], others))
            found.append(
                (own.select([*key, kinds[column], "n"]).rename_columns([*key, "value", "n"]), distinct[others])
            )
        return found[::-1]

    def histogram(self, value: Expression, ends: list[float]) -> Expression:
        """DuckDB's function of this name."""
        import ibis

        @ibis.udf.agg.builtin  # type: ignore[untyped-decorator]
        def histogram(value: float, ends: list[float]) -> dict[float, int]:
            raise NotImplementedError("DuckDB has it")

        return histogram(value, ibis.array([ibis.literal(repr(end)).cast("float64") for end in ends]))

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


def _dataset(system: Any, inner: str, files: Sequence[str], form: Any) -> tuple[Any, list[str]]:
    """Return files as an Arrow dataset, and the columns that their folders name: each value of them is a text."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    root = "" if list(files) == [inner] else str(fixed(inner))
    names = partitions(files, root)
    options = ds.FileSystemFactoryOptions(root)
    options.partitioning = ds.partitioning(pa.schema([(name, pa.string()) for name in names]), flavor="hive")
    return ds.FileSystemDatasetFactory(system, list(files), form, options).finish(), names


def _must_differ(file: str, types: Mapping[str, str]) -> None:
    """Refuse a Parquet file in which a name stands twice; what cannot be read is left to the engine."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.suppress(OSError, pa.ArrowException):
        must_differ(pq.read_schema(file).names, types, file)


def _header(system: Any, file: str, given: Files) -> list[str]:
    with system.open_input_stream(file, compression="detect") as stream:
        return header(stream, given)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


SQL = Sql(TYPES, _literal, "error", lambda text, pattern: f"regexp_full_match({text}, {pattern})")
