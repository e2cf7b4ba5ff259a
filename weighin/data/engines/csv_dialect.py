"""CSV files, and values in names of folders: texts to every engine, put into the contract's types by the same SQL.

Engines guess types, signs and missing values, each in its own way. Here none guesses: Arrow and Spark split lines into
texts, and what text is a number, a time or missing stands below.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from weighin.contract.sources import Files
from weighin.data.names import must_differ
from weighin.errors import NotEvaluated

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 16 * 2**20
"""Bytes that Arrow reads at once; a row has to fit into them."""
DIGITS = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)"
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
FORMS = {
    "integer": "[+-]?[0-9]+([.]0*)?",
    "float": f"{DIGITS}(e[+-]?[0-9]+)?|[+-]?(inf|infinity)|nan",
    "boolean": "true|false|t|f|yes|no|y|n|1|0",
    "timestamp": f"{DAY}([T ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}([.][0-9]{{1,9}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?",
    "date": DAY,
}
"""Texts without spaces around that a type takes: times in capital letters, the rest in small ones."""
_MISSING = "; if it means missing, list it in `missing`"
NOT_OF_TYPE = {
    "integer": f"text among whole numbers{_MISSING}",
    "float": f"text among numbers{_MISSING}",
    "boolean": f"text that is neither true nor false{_MISSING}",
    "timestamp": f"text among times, which are written as 2024-12-31T23:59:59Z{_MISSING}",
    "date": f"text among dates, which are written as 2024-12-31{_MISSING}",
    "string": "text that is not in the `encoding` that is given (default utf-8)",
}
DECIMAL = {sign: f"a `{sign}` among the digits; is it the decimal sign? `decimal: '{sign}'`" for sign in ".,"}
SENTENCES = (*NOT_OF_TYPE.values(), *DECIMAL.values())
"""What is said of a column."""
MARK = "weighin: "
"""Begins a message of ours that an engine raises."""


ArrowFormat: TypeAlias = Any
"""A format of files of Arrow's, which brings no types that mypy reads."""


def arrow_format(given: Files, names: Sequence[str]) -> ArrowFormat:
    """Return the format by which Arrow reads the files: every column as text, none of it missing."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import csv as arrow_csv

    return ds.CsvFileFormat(
        parse_options=arrow_csv.ParseOptions(
            delimiter=given.separator, quote_char=given.quote, double_quote=True, newlines_in_values=True
        ),
        read_options=arrow_csv.ReadOptions(block_size=BLOCK, encoding=given.encoding),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[], strings_can_be_null=False
        ),
    )


def spark_options(given: Files) -> dict[str, str]:
    """Return the options by which Spark splits the files in the same way."""
    return {
        "sep": given.separator,
        "quote": given.quote,
        "escape": given.quote,
        "encoding": {"latin-1": "iso-8859-1"}.get(given.encoding, given.encoding),
        "multiLine": "true",
        "header": "true",
        "enforceSchema": "false",
        "mode": "FAILFAST",
        "maxCharsPerColumn": "-1",
    }


def header(stream: pa.NativeFile, given: Files) -> list[str]:
    """Return the names in the first line of a file. Errors: `UnicodeError`, `csv.Error`."""
    # A mark of the byte order is no part of the first name.
    encoding = "utf-8-sig" if given.encoding == "utf-8" else given.encoding
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    return next(csv.reader(text, delimiter=given.separator, quotechar=given.quote), [])


def must_name(headers: Iterable[Sequence[str]], given: Files, types: Mapping[str, str], place: str) -> list[str]:
    """Return the names that all files have in their first line. Nothing of a line that names no column is shown.

    Errors: `NotEvaluated` where the files differ, a name stands twice, or none is a column of the contract.
    """
    first, *others = headers
    names = list(first)
    if any(list(other) != names for other in others):
        raise NotEvaluated("the files do not all have the same first line", place, "Write the same columns to each.")
    if types and not set(names) & set(types):
        if len(names) == 1:
            remedy = f"Is it separated by `{given.separator}`? If not, name the `separator`."
            raise NotEvaluated("its first line is one text, and no column of the contract", place, remedy)
        raise NotEvaluated("its first line names no column of the contract", place, "Write the names there.")
    must_differ(names, types, place)
    return names


@dataclass(frozen=True)
class Sql:
    """What DuckDB and Spark write differently.

    types    type of the contract -> the engine's
    literal  text -> SQL
    error    function that raises a message
    matches  text, pattern (both SQL) -> SQL for whether the whole text matches
    lossy    whether the engine puts a sign of its own where bytes are not in the encoding
    """

    types: Mapping[str, str]
    literal: Callable[[str], str]
    error: str
    matches: Callable[[str, str], str]
    lossy: bool = False

    def typed(self, column: str, name: str, type_: str, given: Files) -> str:
        """Return SQL that makes a value of a type from a text; missing is what `missing` lists, and an empty field.

        column  SQL for the text
        name    of the column, for messages
        """
        missing = ", ".join(self.literal(token) for token in ("", *given.missing))
        if type_ == "string":
            damaged = self._failed(name, type_, NOT_OF_TYPE[type_])
            lost = f"WHEN {column} LIKE '%\ufffd%' THEN {damaged} " if self.lossy else ""
            return f"CASE {lost}WHEN {column} NOT IN ({missing}) THEN {column} END"
        text = f"{'upper' if type_ == 'timestamp' else 'lower'}(trim({column}))"
        branches = ""
        if type_ in ("integer", "float"):
            wrong, right = (",", ".") if given.decimal == "." else (".", ",")
            branches += f"WHEN {text} LIKE '%{wrong}%' THEN {self._failed(name, type_, DECIMAL[wrong])} "
            text = f"replace({text}, '{right}', '.')"
        value = f"regexp_replace({text}, '[.]0*$', '')" if type_ == "integer" else text
        value = f"TRY_CAST({value} AS {self.types[type_]})"
        if type_ == "boolean":
            value = f"({text} IN ('true', 't', 'yes', 'y', '1'))"
        other = self._failed(name, type_, NOT_OF_TYPE[type_])
        branches += f"WHEN {self.matches(text, self.literal(FORMS[type_]))} THEN coalesce({value}, {other})"
        return f"CASE WHEN {column} IS NULL OR {column} IN ({missing}) THEN NULL {branches} ELSE {other} END"

    def _failed(self, name: str, type_: str, fact: str) -> str:
        return f"CAST({self.error}({self.literal(f'{MARK}column {name}: {fact}')}) AS {self.types[type_]})"


def partition_dialect(paths: str) -> Files:
    """Return how values in the names of folders (`day=2024-12-31`) are written."""
    return Files.model_validate({"path": paths, "format": "csv", "missing": ["__HIVE_DEFAULT_PARTITION__"]})
