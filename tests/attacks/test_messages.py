"""Data in messages: errors that quote rows, and models that write rows where a step's own words are looked for."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
import pyarrow as pa
import pytest

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from weighin.cli import main
from weighin.contract.sources import Files
from weighin.data.engines import told
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.load.answer import read_answer
from weighin.model.predict import predict
from weighin.runner.plan import Answers
from weighin.runner.problem import NOTHING, last_line
from weighin.suites import informed
from weighin.suites.data_quality import _raised, as_measurement
from weighin.suites.quality_docs import Found
from weighin.suites.rows import condition
from weighin.untrusted import redact
from weighin.verdict.conclude import or_not_evaluated

ROW = "Jane Doe 41 8190417.25"
FRAME = pd.DataFrame({"name": ["Jane Doe"], "age": [41], "income": [8190417.25]})


def quoted(error: BaseException, *_: Any) -> str:
    """What stood in messages before: the text of the error."""
    return f"{type(error).__name__}: {error}"


def leaks(text: str) -> Result:
    return Result.SECRET if "Jane" in text or "8190417" in text else Result.BLOCKED


def said(function: Callable[[], Any]) -> str:
    """The sentence of what is not evaluated."""
    try:
        function()
    except NotEvaluated as error:
        return str(error)
    raise AssertionError("it was evaluated")


@contextlib.contextmanager
def model(answer: Callable[[pd.DataFrame], Any], place: Path) -> Iterator[Callable[[], Any]]:
    """`weighin step predict` over one row, with a model that MLflow would have loaded."""
    (place / "features").mkdir()
    FRAME.to_parquet(place / "features/holdout.parquet")
    pyfunc = ModuleType("mlflow.pyfunc")
    pyfunc.load_model = lambda _, suppress_warnings: SimpleNamespace(predict=answer)  # type: ignore[attr-defined]
    mlflow = ModuleType("mlflow")
    mlflow.pyfunc = pyfunc  # type: ignore[attr-defined]
    with (
        mock.patch.dict(sys.modules, {"mlflow": mlflow, "mlflow.pyfunc": pyfunc}),
        mock.patch("resource.setrlimit"),
    ):
        yield lambda: predict(place / "model", place / "features", place / "out", Answers((0,)))


def raises_with_its_rows(place: Path, wall: bool) -> Result:
    """As MLflow does where a signature is broken."""

    def answer(rows: pd.DataFrame) -> Any:
        raise ValueError(f"Failed to enforce schema of data '{rows}'")

    with model(answer, place) as run, replaced(wall, "weighin.model.predict.reduced", quoted):
        return leaks(said(run))


def answers_with_text(place: Path, wall: bool) -> Result:
    """numpy quotes what it cannot read as a number."""
    with model(lambda rows: rows["name"], place) as run, replaced(wall, "weighin.model.answers.cause", quoted):
        return leaks(said(run))


def server_answers_with_rows(place: Path, wall: bool) -> Result:
    """The words of an answer stand in the load log, and of that in reasons."""
    with replaced(wall, "weighin.model.answers.cause", quoted):
        return leaks(read_answer(b'{"predictions": ["Jane Doe"]}', 1, "/predictions", Answers((0,)))[0])


def prints_rows_last(place: Path, wall: bool) -> Result:
    """The last line of a container's log was the reason in the summary."""
    with replaced(wall, "weighin.runner.problem.FACTS", (re.compile(".+"),)):
        return leaks(last_line(f"loading\nweighin: {ROW}\n".encode()))


def names_a_value_as_a_column(place: Path, wall: bool) -> Result:
    """A sentence of our own, word for word, in which the columns are values."""
    line = 'weighin: the model raised KeyError, code 0a1b2c, about the columns ["Jane Doe", "age"]. Ask it by hand.'
    with replaced(wall, "weighin.runner.problem._shown", lambda found, _: found.group(0)):
        shown = last_line(line.encode(), ("name", "age"))
    assert "age" in shown
    return leaks(shown)


def damaged_csv(place: Path, wall: bool) -> Result:
    """Arrow quotes the row."""
    (place / "rows.csv").write_text("name,age\nAda,36\nJane Doe,8190417,x\n")
    given, types = Files(path="rows.csv"), {"name": "string", "age": "integer"}
    with replaced(wall, "weighin.data.engines.told", quoted):
        sentence = said(lambda: Relation.of(given, place, "duckdb", types).sample(["age"], 10))
    return leaks(sentence)


def condition_of_a_slice(place: Path, wall: bool) -> Result:
    """A pull request's condition makes every value an error, one after the other."""
    table = pa.Table.from_pandas(FRAME)
    with replaced(wall, "weighin.data.engines.reduced", quoted):
        return leaks(said(lambda: condition(table, "CAST(name AS INTEGER) > 1")))


def row_that_a_database_refuses(place: Path, wall: bool) -> Result:
    """PostgreSQL's message of a constraint or a cast holds the row."""
    kind = type("InvalidTextRepresentation", (Exception,), {"__module__": "psycopg.errors", "sqlstate": "22P02"})
    with replaced(wall, "weighin.data.engines._is_safe", lambda _: True):
        return leaks(told(kind('invalid input syntax for type integer: "Jane Doe"')))


def crashed_expectation(place: Path, wall: bool) -> Result:
    trace = f'Traceback:\n  File "/x/metric.py", line 12, in _pandas\nValueError: {ROW}'
    info = {"m": {"raised_exception": True, "exception_message": ROW, "exception_traceback": trace}}
    with replaced(wall, "weighin.suites.data_quality.reduced_text", lambda text, *_: text):
        return leaks(_raised(info, ["age"]))


def observed_value(place: Path, wall: bool) -> Result:
    """An expectation about a column as a whole leaves the value that it found."""
    configuration = {"type": "expect_column_max_to_be_between", "kwargs": {}, "meta": {}}
    found = Found(configuration, False, "", {"observed_value": 8190417.25})

    class Every:
        def __contains__(self, _: object) -> bool:
            return True

    with replaced(wall, "weighin.suites.data_quality.OBSERVED", Every()):
        measured: Any = as_measurement("c", SimpleNamespace(kind="x"), found, 1)  # type: ignore[arg-type]
    return leaks(measured.method)


def internal_error(place: Path, wall: bool) -> Result:
    """What nobody thought of, on the terminal and in the job's log."""

    def crash(*_: object) -> None:
        raise KeyError(ROW)

    printed = io.StringIO()
    with (
        replaced(wall, "weighin.cli.reduced", quoted),
        mock.patch("weighin.model.predict.predict", crash),
        contextlib.redirect_stderr(printed),
    ):
        main(["step", "predict", "--model", "m", "--features", "f", "--out", "o"])
    assert "internal error, KeyError" in printed.getvalue()
    return leaks(printed.getvalue())


def internal_error_of_a_verdict(place: Path, wall: bool) -> Result:
    """The same in summary.md, which is the comment on a pull request."""
    with (
        replaced(wall, "weighin.verdict.conclude.reduced", quoted),
        pytest.raises(ValueError, match="Jane"),
        or_not_evaluated(place),
    ):
        raise ValueError(ROW)
    return leaks("".join(p.read_text() for p in place.iterdir()))


def information_that_fails(place: Path, wall: bool) -> Result:
    """A table for readers that cannot be made says why."""

    def information(_: Any) -> Any:
        raise TypeError(ROW)

    with replaced(wall, "weighin.suites.reduced", quoted), mock.patch("weighin.suites.shadow.information", information):
        return leaks(str(informed("shadow", SimpleNamespace())))  # type: ignore[arg-type]


def logs_led_elsewhere(place: Path, wall: bool) -> Result:
    """Where the texts are kept, somebody has put a link into a folder that is uploaded."""
    (place / "reports").mkdir()
    link = place / f"weighin-logs-{os.getuid()}"
    link.symlink_to(place / "reports")
    with (
        mock.patch("tempfile.gettempdir", return_value=str(place)),
        mock.patch.dict(os.environ),
        replaced(wall, "weighin.untrusted.redact._folder", lambda: link),
    ):
        os.environ.pop(redact.LOGS, None)
        redact.keep(ROW)
    return leaks("".join(p.read_text() for p in (place / "reports").iterdir()))


ATTACKS = [
    Attack("a model raises with its rows in the text", raises_with_its_rows, Result.SECRET),
    Attack("a model answers with text that is quoted", answers_with_text, Result.SECRET),
    Attack("a server answers with rows", server_answers_with_rows, Result.SECRET),
    Attack("a model prints rows as the last line of its log", prints_rows_last, Result.SECRET),
    Attack("a model names a value as a column", names_a_value_as_a_column, Result.SECRET),
    Attack("a row of a CSV file has too many fields", damaged_csv, Result.SECRET),
    Attack("a condition of a slice casts every value", condition_of_a_slice, Result.SECRET),
    Attack("a database quotes the row that it refuses", row_that_a_database_refuses, Result.SECRET),
    Attack("an expectation crashes with rows in its message", crashed_expectation, Result.SECRET),
    Attack("an expectation leaves the value that it observed", observed_value, Result.SECRET),
    Attack("an internal error has rows in its text", internal_error, Result.SECRET),
    Attack("an internal error of the verdict is put into the summary", internal_error_of_a_verdict, Result.SECRET),
    Attack("a table for readers fails with rows in the text", information_that_fails, Result.SECRET),
    Attack("the folder of kept logs is a link to what is uploaded", logs_led_elsewhere, Result.SECRET),
]


@pytest.fixture(autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which this test's texts are kept."""
    folder = tmp_path_factory.mktemp("kept")
    monkeypatch.setenv(redact.LOGS, str(folder))
    return folder


def caught(function: Callable[[], Any]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error
    raise AssertionError


def test_two_causes_have_two_codes_and_one_cause_has_one() -> None:
    one, again = (caught(lambda value=v: int(value)) for v in ("Jane", "Ada"))  # type: ignore[misc]
    other = caught(lambda: [].pop())
    assert redact.code_of(one) == redact.code_of(again)
    assert redact.code_of(one) != redact.code_of(other)


def test_the_whole_text_is_kept_where_only_its_user_reads_it(kept: Path) -> None:
    assert "Jane" not in redact.reduced(caught(lambda: int("Jane Doe")))
    (left,) = kept.iterdir()
    assert "Jane Doe" in left.read_text()
    assert left.stat().st_mode & 0o077 == 0


def test_no_more_logs_are_kept_than_a_disk_bears(kept: Path) -> None:
    for number in range(redact.FILES + 20):
        redact.keep(f"{number}" + "x" * (2 * redact.BYTES if number == 69 else 0))
    left = sorted(kept.iterdir())
    assert len(left) == redact.FILES
    assert left[-1].stat().st_size < redact.BYTES + 1000


def test_a_step_says_its_own_sentences_and_no_others() -> None:
    for said_of_ours, shown in {
        "weighin: holdout.parquet: the model raised MlflowException, code 0a1b2c. Ask it by hand.": (
            "the model raised MlflowException, code 0a1b2c"
        ),
        'weighin: x: the columns ["age"] hold double, and the model\'s signature wants long. Ask it by hand.': (
            'the columns ["age"] hold double, and the model\'s signature wants long'
        ),
        "weighin: /ping: the server did not get healthy in 1 s (status 503). Serve the model by hand.": (
            "the server did not get healthy in 1 s (status 503)"
        ),
        "weighin: internal error, OSError (No space left on device), code 0a1b2c. See it with --debug.": (
            "internal error, OSError (No space left on device), code 0a1b2c"
        ),
        "weighin: internal error, OSError (Jane Doe), code 0a1b2c. See it with --debug.": NOTHING,
        "weighin: /ping: the server did not get healthy in 1 s (Jane Doe). Serve the model by hand.": NOTHING,
        "RuntimeError: Jane Doe": NOTHING,
        "": NOTHING,
    }.items():
        assert last_line(said_of_ours.encode() + b"\nsomething else at the end\n", ("age",)) == shown


def test_a_name_that_nobody_knows_is_counted() -> None:
    line = b'weighin: the columns ["age", "Jane"] hold double, and the model\'s signature wants long.'
    assert last_line(line) == "2 columns hold double, and the model's signature wants long"
