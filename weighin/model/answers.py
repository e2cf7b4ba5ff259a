"""What a model's answers mean: numbers among whatever a library returns, and labels as codes.

`answers_in` reads what a model or a server returned, where it did; `read_predictions` the file that is left of it, in
the judge, which trusts nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.arrow import Doubles, Unsound
from weighin.data.table import must_be_left, read_arrow
from weighin.errors import NotEvaluated
from weighin.runner.plan import Answers, Label
from weighin.untrusted.redact import cause, listed

COLUMN = "prediction"
FEATURES = b"weighin.features"
"""Metadata of a file of predictions: digest of the features that they answer, row by row."""
PRECISION = b"weighin.precision"
"""Metadata of such a file: NumPy's name of the type in which the model answered."""
FILE_BYTES = 512 * 2**20
"""Largest file that a predicting process may write."""
LABELS_INSTEAD = (
    "the model answers labels, and not probabilities",
    "Log it with pyfunc_predict_fn='predict_proba', or write `prediction: {kind: label}`.",
)

PARTS_BYTES = 8 * 2**30
"""Largest file of predictions that is read in parts."""

Floats = NDArray[np.float64]


def prediction_columns(width: int) -> list[str]:
    """Names of the columns in a file of predictions: one, or one for each class."""
    return [COLUMN] if width == 1 else [f"{COLUMN}_{i}" for i in range(width)]


def answers_in(returned: object, answers: Answers) -> Floats:
    """Return the predictions among what a model returned: shape (n, `answers.width`), labels as codes.

    returned  an array, list, series, tensor or data frame, a mapping of arrays by name, or a list of rows by name
    Errors: `NotEvaluated` when they are not what is promised, or have no such columns. Names of columns and values are
    the model's, and not shown.

    >>> answers_in([[0.2, 0.8], [0.6, 0.4]], Answers((1,))).tolist()
    [[0.8], [0.4]]
    >>> meant = Answers(("label",), "label", positive="yes")
    >>> answers_in([{"p": 0.2, "label": "no"}, {"p": 0.7, "label": "yes"}], meant).tolist()
    [[0.0], [1.0]]
    """
    columns = columns_by_name(returned)
    if columns is None:
        values = _array(returned)
    elif any(isinstance(c, str) for c in answers.columns):
        values = _named(columns, answers)
    else:
        values = _side_by_side(columns, answers)
    return _codes(values, answers) if answers.kind == "label" else _numbers(values, answers)


def answer_columns(returned: object, rows: int) -> dict[str, NDArray[np.generic]]:
    """Return every column of some answers, by its name or number. Errors: `NotEvaluated` when they are no table.

    rows  how many rows were asked, each of which has an answer

    >>> [values.tolist() for values in answer_columns([[1, 2], [3, 4]], 2).values()]
    [[1, 3], [2, 4]]
    """
    columns = columns_by_name(returned)
    if columns is None:
        values = _array(returned)
        table = values[:, None] if values.ndim == 1 else values
        if table.ndim != 2:
            raise NotEvaluated(f"answers of shape {values.shape}", "", "Return one row of numbers per row.")
        found = {str(i): table[:, i] for i in range(table.shape[1])}
    else:
        found = {name: _array(values) for name, values in columns.items()}
    if not found or any(v.ndim != 1 or len(v) != rows for v in found.values()):
        counts = sorted({str(v.shape) for v in found.values()})[:3]
        said = f"answers of shape {', '.join(counts) or 'none'} for {rows} rows"
        raise NotEvaluated(said, "", "Answer every row once, in order.")
    return found


def precision_of(returned: object) -> str:
    """Return NumPy's name of the floating-point type of some answers; that of a double where it cannot be said."""
    columns = columns_by_name(returned)
    parts = [np.asarray(v) for v in columns.values()] if columns else [_array(returned)]
    found = [part.dtype for part in parts if part.dtype.kind == "f"]
    return str(min(found, key=lambda dtype: dtype.itemsize)) if found else "float64"


def columns_by_name(returned: object) -> Mapping[str, object] | None:
    """Return answers that have names, column by column; None for others. Errors: `NotEvaluated`."""
    if isinstance(returned, Mapping):
        return {str(name): values for name, values in returned.items()}
    if hasattr(returned, "columns") and hasattr(returned, "iloc"):
        return {str(name): returned.iloc[:, i].to_numpy() for i, name in enumerate(returned.columns)}
    if isinstance(returned, list) and returned and isinstance(returned[0], Mapping):
        names = list(returned[0])
        if any(not isinstance(row, Mapping) or list(row) != names for row in returned):
            raise NotEvaluated("the rows of the answers have not the same columns", "", "Return a table.")
        return {str(name): [row[name] for row in returned] for name in names}
    return None


def _array(returned: object) -> NDArray[np.generic]:
    """Return answers without names as an array. Errors: `NotEvaluated`."""
    for method in ("detach", "cpu", "to_numpy", "toarray"):
        # Tensors of PyTorch first leave the graph and the device; sparse matrices become dense.
        if hasattr(returned, method):
            returned = getattr(returned, method)()
    try:
        return np.asarray(returned)
    except (TypeError, ValueError) as error:
        said = cause(error)
        raise NotEvaluated(f"the answers are no table ({said})", "", "Return one number per row.") from error


def _named(columns: Mapping[str, object], answers: Answers) -> NDArray[np.generic]:
    """Return the columns that are named. Errors: `NotEvaluated`."""
    absent = [str(c) for c in answers.columns if str(c) not in columns]
    if absent:
        raise NotEvaluated(
            f"the answers have no column {listed(absent)}", "", "Correct `model.prediction.column` or `model.classes`."
        )
    found = [np.asarray(columns[str(c)]) for c in answers.columns]
    if len(found) == 1 and found[0].ndim == 1 and found[0].dtype == object and len(found[0]) and _is_rows(found[0][0]):
        found = [_array([list(row) for row in found[0]])]
    # Several numbers a row under one name: those of all classes.
    if len(found) == 1 and found[0].ndim == 2:
        return found[0] if answers.width > 1 else found[0][:, -1:]
    if any(f.ndim != 1 for f in found):
        raise NotEvaluated("a column of the answers holds no single value for a row", "", "Name another column.")
    return np.column_stack(found) if answers.kind != "label" else found[0]


def _is_rows(value: object) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _side_by_side(columns: Mapping[str, object], answers: Answers) -> NDArray[np.generic]:
    """Return the columns that are meant by their numbers, or that are called as the classes. Errors: `NotEvaluated`."""
    if answers.kind == "probabilities" and all(str(label) in columns for label in answers.classes):
        return np.column_stack([_array(columns[str(label)]) for label in answers.classes])
    parts = [_array(values) for values in columns.values()]
    if len(parts) == 1:
        return parts[0]
    wanted = [int(c) for c in answers.columns]
    if max(wanted) >= len(parts):
        raise NotEvaluated(
            f"the answers have {len(parts)} columns, and none of number {max(wanted)}",
            "",
            "Correct `model.prediction.column`, a number counted from 0 or a name.",
        )
    for number in wanted:
        if parts[number].ndim != 1:
            raise NotEvaluated(f"column {number} of the answers holds no single value for a row", "", "Name another.")
    return parts[wanted[0]] if answers.kind == "label" else np.column_stack([parts[n] for n in wanted])


def _numbers(values: NDArray[np.generic], answers: Answers) -> Floats:
    """Return (n, width) numbers. Errors: `NotEvaluated`."""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        text = ", text among them" if _holds_text(values) else ""
        raise NotEvaluated(
            f"the answers are not numbers{text} ({cause(error)})",
            "",
            "Return one number per row, name its column in `model.prediction.column`, or write `kind: label`.",
        ) from error
    wanted = [c for c in answers.columns if isinstance(c, int)]
    if numbers.ndim == 1 and answers.width == 1:
        return numbers[:, None]
    if numbers.ndim == 2 and numbers.shape[1] == answers.width and (answers.width == 1 or not wanted):
        return numbers
    if numbers.ndim == 2 and wanted and max(wanted) < numbers.shape[1]:
        return numbers[:, wanted]
    if numbers.ndim == 1 and answers.kind == "probabilities":
        raise NotEvaluated(
            f"one number per row, and not one for each of {answers.width} classes", "", LABELS_INSTEAD[1]
        )
    said = f"answers of shape {numbers.shape} have no column {max(wanted, default=0)}"
    raise NotEvaluated(said, "", "Correct `model.prediction`.")


def _holds_text(values: NDArray[np.generic]) -> bool:
    return values.dtype.kind in "US" or any(isinstance(v, (str, bytes)) for v in values.ravel()[:10_000].tolist())


def _codes(values: NDArray[np.generic], answers: Answers) -> Floats:
    """Return (n, 1) codes of labels: their place in `classes`, or whether they are the positive one; NaN for none."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        column = answers.columns[0]
        if values.ndim == 2 and isinstance(column, int) and column < values.shape[1]:
            values = values[:, column]
        else:
            raise NotEvaluated("the answers are no single label for a row", "", "Correct `model.prediction`.")
    different = list(dict.fromkeys(values.tolist()))
    if answers.classes:
        code = {d: next((i for i, c in enumerate(answers.classes) if same_label(d, c)), None) for d in different}
        strange = [d for d in different if code[d] is None and not _is_missing(d)]
        if strange:
            raise NotEvaluated(
                f"the answers hold {len(strange)} different labels that are none of `model.classes`",
                "",
                "List every class.",
            )
    else:
        # A contract that names no positive label means 1, or true.
        positive = 1 if answers.positive is None else answers.positive
        code = {d: int(same_label(d, positive)) for d in different if not _is_missing(d)}
        if list(code.values()).count(0) > 1:
            raise NotEvaluated(
                f"the answers hold {len(code)} different labels, and a binary task has two",
                "",
                "Correct `model.prediction.column`, or `model.positive`.",
            )
    found = [code.get(v) if not _is_missing(v) else None for v in values.tolist()]
    return np.array([np.nan if c is None else float(c) for c in found])[:, None]


def _is_missing(value: object) -> bool:
    return value is None or value != value


def same_label(value: object, label: Label) -> bool:
    """Whether a value is a label of the contract: text as text, numbers and booleans by what they count.

    >>> same_label(1.0, True), same_label("1", 1), same_label("yes", "yes")
    (True, False, True)
    """
    if isinstance(label, str) or isinstance(value, str):
        return value == label
    try:
        return bool(value == label)
    except (TypeError, ValueError):
        return False


def order_of_classes(known: Sequence[object], answers: Answers) -> None:
    """Refuse a model whose classes stand in another order than the contract's, by which its numbers are read.

    known  the classes by the model, in the order of its numbers
    Errors: `NotEvaluated`, which names labels of the contract and no other.
    """
    if answers.kind == "probability" and answers.positive is not None and isinstance(answers.columns[0], int):
        places = [i for i, label in enumerate(known) if same_label(label, answers.positive)]
        if len(places) == 1 and places[0] != answers.columns[0] and len(known) > 1:
            raise NotEvaluated(
                f"the probability of {listed([str(answers.positive)])} is number {places[0]} of an answer, and the "
                f"contract reads number {answers.columns[0]}",
                "",
                f"Write `prediction: {{column: {places[0]}}}`.",
            )
    if answers.kind != "probabilities" or not answers.classes or not known:
        return
    if len(known) != len(answers.classes):
        raise NotEvaluated(
            f"the model has {len(known)} classes, and the contract {len(answers.classes)}", "", "List every class."
        )
    order = [next((c for c in answers.classes if same_label(k, c)), None) for k in known]
    if None not in order and order != list(answers.classes):
        shown = ", ".join(str(c) for c in order)
        raise NotEvaluated(
            f"the model answers the classes in the order {listed([str(c) for c in order])}, which is not that of "
            "`model.classes`",
            "",
            f"Write `classes: [{shown}]`.",
        )
    if None in order and any(c is not None for c in order):
        raise NotEvaluated("not all classes of the model are in `model.classes`", "", "List every class.")


def write_predictions(path: Path, found: Floats, features: str, precision: str) -> None:
    """Write predictions to the file of a dataset.

    found     (n, k), as `answers_in` returns them
    features  digest of the features that they answer
    precision NumPy's name of the type in which they were answered
    """
    batch = pa.record_batch(list(np.ascontiguousarray(found.T)), names=prediction_columns(found.shape[1]))
    schema = batch.schema.with_metadata({FEATURES: features.encode(), PRECISION: precision.encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def read_predictions(path: Path, rows: int, width: int, features: str) -> Floats:
    """Predictions from a file that a stranger wrote: shape (rows,), or (rows, width) for several columns.

    features  digest of the features that they must answer: predictions of other rows, or of these in another order,
              carry another one
    Errors: `NotEvaluated` when the file is missing, too large, of another schema or length, or holds a value that is
    not finite.
    """
    place = f"predictions/{path.parent.name}/{path.name}"
    table = read_arrow(path, place, FILE_BYTES)
    names = prediction_columns(width)
    if table.column_names != names or {f.type for f in table.schema} != {pa.float64()}:
        raise NotEvaluated(f"the columns are not {', '.join(names)} as doubles", place, "Predict again.")
    must_answer(table, rows, features, place)
    values = must_be_finite(np.column_stack([table[name].to_numpy().astype(np.float64) for name in names]), place)
    return values[:, 0] if len(names) == 1 else values


def must_answer(table: pa.Table | Doubles, rows: int, features: str, place: str) -> None:
    """Refuse answers to other rows than those whose features have this digest. Errors: `NotEvaluated`."""
    answered = (table.schema.metadata or {}).get(FEATURES, b"").decode("ascii", "replace")
    if features and answered != features:
        raise NotEvaluated(
            "these predictions answer other rows, or the same in another order", place, "Predict again, after resolve."
        )
    if table.num_rows != rows:
        raise NotEvaluated(f"{table.num_rows} predictions for {rows} rows", place, "Answer every row once.")


class Predictions:
    """The same file, checked as it is opened, and read in parts where its rows are too many to hold.

    rows, width, features, and errors  as for `read_predictions`; values are checked part by part
    """

    def __init__(self, path: Path, rows: int, width: int, features: str) -> None:
        self.place, self.rows, self._width = f"predictions/{path.parent.name}/{path.name}", rows, width
        must_be_left(path, self.place)
        try:
            self._file = Doubles(path, PARTS_BYTES)
        except (Unsound, OSError) as error:
            said = str(error) if isinstance(error, Unsound) else cause(error)
            raise NotEvaluated(f"not a sound Arrow file: {said}", self.place, "Predict again.") from error
        names = prediction_columns(width)
        if self._file.names != names:
            raise NotEvaluated(f"the columns are not {', '.join(names)} as doubles", self.place, "Predict again.")
        must_answer(self._file, rows, features, self.place)

    def part(self, start: int, end: int) -> Floats:
        """Return finite numbers of some rows, shape (end - start,) or (end - start, width). Errors: `NotEvaluated`."""
        try:
            found = np.column_stack([self._file.part(i, start, end) for i in range(self._width)])
        except Unsound as error:
            raise NotEvaluated(f"not a sound Arrow file: {error}", self.place, "Predict again.") from error
        return must_be_finite(found[:, 0] if self._width == 1 else found, self.place)


def must_be_finite(values: Floats, place: str) -> Floats:
    """Return the values, if each is a finite number. Errors: `NotEvaluated`."""
    for bad, what in ((np.isnan(values), "NaN"), (np.isinf(values), "infinite")):
        if bad.any():
            count = int(bad.reshape(len(values), -1).any(axis=1).sum())
            said = f"{count} of {len(values)} predictions are {what}"
            raise NotEvaluated(said, place, "Answer every row with a number.")
    return values


def read_precision(path: Path) -> np.finfo:
    """Return the floating-point type in which a model answered, by a file that `read_predictions` accepts."""
    table = read_arrow(path, f"predictions/{path.parent.name}/{path.name}", FILE_BYTES)
    said = (table.schema.metadata or {}).get(PRECISION, b"").decode("ascii", "replace")
    # The model's process wrote it: what it says may widen a tolerance to that of float32 and no further.
    return np.finfo("float32" if said == "float32" else "float64")


def rounding(precision: np.finfo) -> float:
    """Return by how much of itself, or of one, an answer may differ from the same one of another batch.

    A server and a batch add in another order: a float32 has 24 bits, so that the last of them differ without a fault.
    """
    return max(1e-9, 8 * float(precision.eps))


def must_be_probabilities(values: Floats, place: str) -> Floats:
    """Return the values, if each lies in [0, 1], and those of several classes sum to one. Errors: `NotEvaluated`."""
    outside = int(((values < 0) | (values > 1)).reshape(len(values), -1).any(axis=1).sum())
    if outside:
        raise NotEvaluated(f"{outside} of {len(values)} predictions lie outside [0, 1]", place, "Return probabilities.")
    if values.ndim == 2:
        off = int((np.abs(values.sum(axis=1) - 1) > 1e-3).sum())
        if off:
            raise NotEvaluated(
                f"the probabilities of {off} of {len(values)} rows do not sum to one", place, "Return all classes."
            )
    return values


def must_not_be_labels(values: Floats, place: str) -> Floats:
    """Return the values, unless each is 0 or 1: by default classifiers answer labels. Errors: `NotEvaluated`."""
    if len(values) and np.isin(values, (0.0, 1.0)).all():
        raise NotEvaluated(LABELS_INSTEAD[0], place, LABELS_INSTEAD[1])
    return values


def as_probabilities(codes: Floats, classes: int) -> Floats:
    """(n, classes) one where a row's code says so, and zero elsewhere; for two classes (n,) the codes themselves."""
    return codes if classes < 3 else np.asarray(np.arange(classes)[None, :] == codes[:, None], dtype=np.float64)
