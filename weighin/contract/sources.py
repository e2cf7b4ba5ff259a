"""Where a dataset lives, and which stretch of time of it counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema, model_validator

from weighin.contract.parts import Name, Part

_LAST = re.compile(r"last (\d+) (hours?|days?|weeks?)$")
_SEASON = re.compile(r"same season (last year|(\d+) years ago)$")
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]*://")
_SECRET = re.compile(r"^[a-z][a-z0-9+.-]*://[^@]*:[^@]*@")
SEASON_DAYS = 91
"""A season is a quarter of a year."""


def _window(text: str) -> str:
    if not (_LAST.match(text) or _SEASON.match(text)):
        raise ValueError("a window is `last 7 days` (hours, weeks), `same season last year`, or {from: date, to: date}")
    return text


WindowText = Annotated[
    str,
    AfterValidator(_window),
    WithJsonSchema({"type": "string", "pattern": f"({_LAST.pattern})|({_SEASON.pattern})"}),
]


class Dates(Part):
    """From the first moment of one day to the first moment of another, in UTC."""

    first: date = Field(alias="from", description="The first day that counts.")
    before: date = Field(alias="to", description="The first day that no longer counts.")

    @model_validator(mode="after")
    def _ordered(self) -> Dates:
        if self.first >= self.before:
            raise ValueError("`to` is the first day that no longer counts, so it comes after `from`")
        return self


Window = WindowText | Dates
# A tab is a separator, and a space may mean missing.
Token = Annotated[str, StringConstraints(strip_whitespace=False)]
Sign = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=1)]


@dataclass(frozen=True)
class Span:
    """first <= moment < before, both with a zone."""

    first: datetime
    before: datetime


def span(window: Window, as_of: datetime) -> Span:
    """Return the stretch of time that a window means at a moment.

    `last 7 days` ends at `as_of`. `same season last year` is a quarter of a year (91 days) with the moment that lies
    one calendar year before `as_of` in its middle.

    >>> s = span("last 7 days", datetime(2026, 3, 8, tzinfo=UTC)); (s.first.day, s.before.day)
    (1, 8)
    >>> s = span("same season last year", datetime(2026, 3, 8, tzinfo=UTC)); (s.before - s.first).days
    91
    """
    if isinstance(window, Dates):
        return Span(_midnight(window.first), _midnight(window.before))
    if found := _LAST.match(window):
        unit = found[2] if found[2].endswith("s") else found[2] + "s"
        return Span(as_of - timedelta(**{unit: int(found[1])}), as_of)
    season = _SEASON.match(window)
    assert season is not None
    years = int(season[2] or 1)
    # 29 February has no counterpart in most years; the day before has.
    day = as_of.replace(day=28) if (as_of.month, as_of.day) == (2, 29) else as_of
    middle = day.replace(year=day.year - years)
    half = timedelta(days=SEASON_DAYS / 2)
    return Span(middle - half, middle + half)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class _Windowed(Part):
    window: Window | None = Field(
        None, description="Only rows of this stretch of time, by the column with `role: time`, against `as_of`."
    )


class Files(_Windowed):
    """Parquet, CSV or Arrow files.

    `path` is a file, a glob, or a folder (whose partitions `name=value` become columns), relative to the contract, or
    an address of an object store: s3://, gs://, abfs://.
    """

    path: Name = Field(description="A file, a glob, a folder, or an address of an object store.")
    format: Literal["parquet", "csv", "arrow"] | None = Field(
        default=None, description="Format of the files; default: from the end of the name."
    )
    separator: Sign = Field(default=",", description="CSV: the character between fields.")
    decimal: Literal[".", ","] = Field(default=".", description="CSV: the decimal sign of numbers.")
    quote: Sign = Field(default='"', description="CSV: the character around fields that hold separators.")
    encoding: Literal["utf-8", "latin-1", "windows-1252", "utf-16"] = Field(
        default="utf-8", description="CSV: the encoding of the text."
    )
    missing: tuple[Token, ...] = Field((), description="CSV: texts that mean missing, besides an empty field.")

    @model_validator(mode="after")
    def _dialect(self) -> Files:
        given = self.model_fields_set & {"separator", "decimal", "quote", "encoding", "missing"}
        if given and self.kind != "csv":
            raise ValueError(f"`{min(given)}` is about CSV files; write `format: csv` if these are some")
        if self.separator == self.quote or "\n" in (self.separator, self.quote):
            raise ValueError("`separator` and `quote` are two signs, and no end of line")
        return self

    @model_validator(mode="after")
    def _open(self) -> Files:
        if _SECRET.match(self.path):
            raise ValueError("an address holds no password: credentials come from the environment")
        return self

    @property
    def kind(self) -> str:
        """The format, from the name where it is not given; a folder or a name that says nothing holds Parquet."""
        suffix = PurePosixPath(self.path).suffix.lower()
        return self.format or {".csv": "csv", ".arrow": "arrow", ".feather": "arrow"}.get(suffix, "parquet")

    @property
    def remote(self) -> bool:
        """Whether this is an address, not a path."""
        return _REMOTE.match(self.path) is not None


class Query(_Windowed):
    """A table, or the answer to a query, of a database.

    `connection` names the environment variable that holds its address (postgres://user:password@host/database), so
    that no secret stands in the contract. Without one, table and query are Spark's own (`engine: spark`).
    """

    connection: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        None, description="The environment variable that holds the address of the database."
    )
    table: Name | None = Field(None, description="A table of the database, or schema.table.")
    query: Name | None = Field(
        None, description="A SELECT statement in the dialect of the database, in place of a table."
    )

    @model_validator(mode="after")
    def _one(self) -> Query:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self


class FeatureStore(Part):
    """Features of a feature repository of Feast, as they were at the moment of each row."""

    repository: Name = Field(description="Folder with feature_store.yaml, relative to the contract.")
    features: tuple[Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+$")], ...] = Field(
        min_length=1, description="Features as VIEW:FEATURE; a row has each as a column FEATURE."
    )
    entities: Name = Field(
        description="A Parquet file with the rows: the keys of the entities, a moment, and the labels, relative to the "
        "contract."
    )
    timestamp: Name = Field("event_timestamp", description="The column of the entities that holds the moment.")


class Feast(Part):
    """Rows of a feature store: point-in-time values from the offline store, in an environment of Feast's own."""

    feast: FeatureStore = Field(description="The feature repository, and which features of which entities.")


class StoredProfile(Part):
    """The profile that is stored with a model version, in place of the rows themselves."""

    profile: Literal["champion", "candidate"] = Field(description="The version whose stored profile is the reference.")


def _tag(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    keys = value if isinstance(value, Mapping) else vars(value)
    if "profile" in keys:
        return "profile"
    if "feast" in keys:
        return "feast"
    return "query" if {"connection", "table", "query"} & {k for k in keys if keys[k] is not None} else "files"


Rows = Annotated[
    Annotated[Name, Tag("text")]
    | Annotated[Files, Tag("files")]
    | Annotated[Query, Tag("query")]
    | Annotated[Feast, Tag("feast")],
    Discriminator(_tag),
]
RowsOrProfile = Annotated[
    Annotated[Name, Tag("text")]
    | Annotated[Files, Tag("files")]
    | Annotated[Query, Tag("query")]
    | Annotated[Feast, Tag("feast")]
    | Annotated[StoredProfile, Tag("profile")],
    Discriminator(_tag),
]
Source = Files | Query | Feast | StoredProfile


def source(given: Source | str) -> Source:
    """Take a path as short for files."""
    return Files.model_validate({"path": given}) if isinstance(given, str) else given


def in_place(given: Source, engine: str) -> bool:
    """Whether suites read it where it lies: one local Parquet file, all of it."""
    return (
        isinstance(given, Files)
        and given.kind == "parquet"
        and not given.remote
        and given.window is None
        and engine == "duckdb"
        and PurePosixPath(given.path).suffix == ".parquet"
        and not set("*?[") & set(given.path)
    )
