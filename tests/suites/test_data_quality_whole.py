"""Models are asked about a sample of a large dataset; the data quality gate looks at every row, wherever they live."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import quick_python
from support.data_engines import into_postgres
from support.postgres_server import postgres
from support.quality_work import QualityWork
from support.suite_work import CONTRACT, MOMENT, ROWS, Work
from weighin.contract import checks, read_contract
from weighin.errors import NotEvaluated
from weighin.model.subject import Subject
from weighin.outcome import Outcome, decide
from weighin.resolve.datasets import resolve_rows
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.expectations import write_suite
from weighin.suites.quality_columns import quality_columns

TESTS = Path(__file__).resolve().parent.parent
PREFIX = "data_quality/current/"
SAMPLE = 300


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path).write()


def keep(work: Work, kind: str, rows: pd.DataFrame, database: str) -> str:
    """Put the current data in their place; what the contract says of it."""
    folder = work.folder
    match kind:
        case "csv":
            rows.to_csv(folder / "rows.csv", index=False)
            return "{path: rows.csv}"
        case "parts":
            (folder / "parts").mkdir(exist_ok=True)
            for i in range(4):
                part = rows.iloc[i * ROWS // 4 : (i + 1) * ROWS // 4]
                part.to_parquet(folder / f"parts/{i}.parquet", index=False)
            return "{path: parts}"
        case "postgres":
            table = pa.Table.from_pandas(rows, preserve_index=False)
            place = table.schema.get_field_index("at")
            moments = table["at"].cast(pa.timestamp("us", tz="UTC"))
            into_postgres(database, "rows", table.set_column(place, "at", moments))
            return "{connection: WAREHOUSE, table: rows}"
        case _:
            # Spark reads no nanoseconds.
            rows.to_parquet(folder / "rows.parquet", index=False, coerce_timestamps="us")
            return "rows.parquet"


def resolved(work: Work, place: str, engine: str) -> Evidence:
    """What `weighin step resolve` leaves of a contract whose current data are at a place."""
    text = CONTRACT.replace(
        "current: current.parquet", f"current: {place}\n  rows_at_most: {SAMPLE}\n  engine: {engine}"
    )
    text = text.replace("datasets: [holdout]", "datasets: [current]")
    (work.folder / "model_contract.yaml").write_text(text)
    file = read_contract(work.folder / "model_contract.yaml")
    write_suite(file.contract, work.folder, check=False)
    subject = Subject.read(work.folder / "work/subject.json")
    data = resolve_rows(file, work.folder / "work", False, MOMENT)
    replace(subject, data=data).write(work.folder / "work/subject.json")
    return Evidence(file, work.folder / "work")


def outcomes(evidence: Evidence) -> dict[str, Outcome]:
    return {c.id: decide(measured(c, evidence), c.limit) for c in checks(evidence.contract, "data_quality")}


@pytest.mark.parametrize("kind", ["one file", "csv", "parts", "spark", "postgres"])
def test_one_bad_row_that_no_model_was_asked_about_is_found(
    kind: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, engine = work.frames["current"], "spark" if kind == "spark" else "duckdb"
    with postgres() as address:
        monkeypatch.setenv("WAREHOUSE", address)
        sound = resolved(work, keep(work, kind, rows, address), engine)
        assert {name: o.reason for name, o in outcomes(sound).items() if o.status.value != "passed"} == {}
        sampled = set(sound.columns("current", "id")["id"].to_pylist())
        assert 0 < len(sampled) < ROWS
        bad = next(i for i in range(ROWS // 2, ROWS) if i not in sampled)

        rows.loc[bad, "distance"] = 6001
        evidence = resolved(work, keep(work, kind, rows, address), engine)
    assert bad not in evidence.columns("current", "id")["id"].to_pylist()
    found = outcomes(evidence)
    assert {n for n, o in found.items() if o.status.value == "failed"} == {PREFIX + "distance/range"}
    outcome = found[PREFIX + "distance/range"].evidence
    assert (outcome.n, outcome.detail["rows_breaking"]) == (ROWS, 1)  # type: ignore[union-attr]


def test_the_copy_has_every_row_in_its_order_and_the_sample_is_drawn_from_it(work: Work) -> None:
    evidence = resolved(work, keep(work, "csv", work.frames["current"], ""), "duckdb")
    assert evidence.whole("current") == work.folder / "work/data/current-whole.parquet"
    assert pq.read_table(evidence.whole("current"))["id"].to_pylist() == list(range(ROWS))
    known = evidence.subject.data["current"]
    assert (known["total"], known["rows"]) == (ROWS, evidence.columns("current", "id").num_rows)


@pytest.mark.parametrize("kind", ["one file", "csv"])
def test_rows_that_changed_since_they_were_resolved_are_not_judged(kind: str, work: Work) -> None:
    evidence = resolved(work, keep(work, kind, work.frames["current"], ""), "duckdb")
    place = evidence.whole("current")
    pq.write_table(pq.read_table(place).slice(1), place)
    again = Evidence(evidence.file, evidence.work)
    with pytest.raises(NotEvaluated, match="changed since it was resolved"):
        again.whole("current")
    assert {o.status.value for o in outcomes(again).values()} == {"not_evaluated"}


def test_no_copy_is_made_of_what_the_gate_does_not_look_at(work: Work) -> None:
    place = keep(work, "csv", work.frames["current"], "")
    text = CONTRACT.replace("current: current.parquet", f"current: {place}\n  rows_at_most: {SAMPLE}")
    (work.folder / "model_contract.yaml").write_text(text)
    file = read_contract(work.folder / "model_contract.yaml")
    assert "whole" not in resolve_rows(file, work.folder / "work", False, MOMENT)["current"]
    assert not (work.folder / "work/data/current-whole.parquet").exists()


def test_room_that_is_missing_for_the_copy_is_said(work: Work) -> None:
    place = keep(work, "csv", work.frames["current"], "")
    (work.folder / "work/data/current-whole.parquet").mkdir(parents=True)  # what cannot be written to
    evidence = resolved(work, place, "duckdb")
    assert "cannot be kept here" in evidence.subject.data["current"]["problem"]


def test_what_does_not_fit_in_memory_is_kept_beside_the_reports_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, out = QualityWork(tmp_path).write(), tmp_path / "out"
    evidence = Evidence(read_contract(work.folder / "model_contract.yaml"), work.folder / "work", out)
    scratch: list[Path] = []

    def seen(evidence: Evidence, dataset: str, folder: Path, moment: datetime) -> Any:
        scratch.append(folder)
        return quality_columns(evidence, dataset, folder, moment)

    monkeypatch.setattr("weighin.suites.data_quality.quality_columns", seen)
    assert {o.status.value for o in outcomes(evidence).values()} == {"passed"}
    assert [folder.parent for folder in scratch] == [out]
    assert [p.name for p in out.iterdir()] == ["data_docs"]


def test_room_that_is_missing_for_spark_is_said(tmp_path: Path) -> None:
    work = QualityWork(tmp_path).write()
    evidence = Evidence(read_contract(work.folder / "model_contract.yaml"), work.folder / "work")
    with quality_columns(evidence, "holdout", tmp_path, MOMENT) as view:
        (tmp_path / "columns.parquet").mkdir()  # what cannot be written to
        with pytest.raises(NotEvaluated, match=r"could not be read or written.*Make room"):
            view.write(tmp_path / "columns.parquet", ["seat"], ["c0"])


WITHOUT_JAVA = """
import sys
from pathlib import Path
from support.quality_work import PREFIX, QualityWork

work = QualityWork(Path(sys.argv[1]))
work.contract = work.contract.replace("rows_at_least: 1000\\n", "rows_at_least: 1000\\n    engine: spark\\n")
found = work.write().outcomes("data_quality")
print({o.status.value for o in found.values()})
print(found[PREFIX + "rows"].reason)
"""


def test_spark_without_java_is_said_with_the_remedy(tmp_path: Path) -> None:
    own = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
    environment |= {"PYTHONPATH": own, "PATH": str(Path(sys.executable).parent)}
    ran = quick_python.run(["-c", WITHOUT_JAVA, str(tmp_path)], tmp_path, env=environment, timeout=120)
    assert ran.returncode == 0, ran.stderr[-2000:]
    statuses, reason = ran.stdout.splitlines()[-2:]
    assert statuses == "{'not_evaluated'}"
    assert "Spark needs Java" in reason
    assert "docs/reference/gates/data-quality.md" in reason
