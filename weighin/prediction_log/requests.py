"""Logged requests that are to be answered again, in one file: what was asked, and what was answered then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.errors import NotEvaluated


@dataclass(frozen=True)
class Requests:
    """Rows in the order in which they came, those of a request together.

    request   (rows,) number of the request, 0..R-1, increasing
    features  the columns that a model is given, by their names
    logged    (rows, k) what was answered then
    digest    (rows,) of the model that answered then; empty where the log does not say
    """

    request: NDArray[np.int64]
    features: pa.Table
    logged: NDArray[np.float64]
    digest: tuple[str, ...]

    def rows_of(self, start: int, starts: int) -> list[tuple[int, ...]]:
        """Rows of every `starts`-th request, from `start` on: what one start of a server is asked."""
        first = np.flatnonzero(np.diff(self.request, prepend=-1))
        ends = [*first[1:].tolist(), len(self.request)]
        return [tuple(range(a, b)) for a, b in zip(first.tolist(), ends, strict=True)][start::starts]

    def write(self, path: Path) -> None:
        """Write a Parquet file. Features are a column within, so that they may have any name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        features = pa.StructArray.from_arrays(
            [column.combine_chunks() for column in self.features.columns], names=self.features.column_names
        )
        width = self.logged.shape[1]
        logged = pa.FixedSizeListArray.from_arrays(pa.array(self.logged.ravel()), width)
        columns = {"request": pa.array(self.request), "features": features, "logged": logged}
        pq.write_table(pa.table({**columns, "digest": pa.array(self.digest, pa.string())}), path)

    @staticmethod
    def read(path: Path) -> Requests:
        """Return what `write` wrote. Errors: `NotEvaluated` when there is no such file."""
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise NotEvaluated(
                f"no readable requests ({type(error).__name__})", str(path), "Run `weighin step resolve` again."
            ) from error
        features = table["features"].combine_chunks()
        logged = table["logged"].combine_chunks()
        return Requests(
            table["request"].to_numpy(),
            pa.table(dict(zip((f.name for f in features.type), features.flatten(), strict=True))),
            logged.flatten().to_numpy().reshape(table.num_rows, -1),
            tuple(table["digest"].to_pylist()),
        )
