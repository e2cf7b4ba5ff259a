"""Every contract that can be written runs to its report: no key of it stops a validation after the suites have run."""

from __future__ import annotations

import gc
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from markupsafe import escape

from support.every_contract import Made, alternatives, covering
from support.evidence_files import SOUND, interval, passing
from weighin.contract import Check, checks, read_contract
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Query
from weighin.contract.stricter import compare
from weighin.data.profile import Profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.model.subject import ModelVersion, ReservedUse, Subject, TrainedOn
from weighin.outcome import Direction, Measurement, Unmeasured, census, decide
from weighin.record.suite import SuiteOutcomes
from weighin.record.verify import verify
from weighin.release.promote import checked_record, since_anchor
from weighin.report import markdown
from weighin.resolve import datasets
from weighin.suites import measured, plugin
from weighin.suites.evidence import Evidence
from weighin.suites.expectations import write_suite
from weighin.verdict import judge
from weighin.verdict.conclude import conclude

pytestmark = pytest.mark.exhaustive

ROWS = 60
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return covering()


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Leave what is in memory alone: each pytest within this one walks through all of it five times at its end."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make up measurements, and run suites in this process; whatever writes, reads and decides is the real thing."""
    place = datasets.relation

    def relation(file: ContractFile, dataset: str, moment: datetime) -> Relation:
        if file.contract.data.engine == "spark" or isinstance(file.contract.data.source(dataset), Query):
            raise NotEvaluated("no server runs here", f"data.{dataset}")
        return place(file, dataset, moment)

    monkeypatch.setattr(datasets, "relation", relation)
    monkeypatch.setattr(plugin, "measured", lambda check, evidence: passing(check))
    monkeypatch.setattr(plugin, "informed", lambda suite, evidence: ())
    monkeypatch.setattr(judge, "may_fork", lambda: True)
    monkeypatch.setattr(judge, "fork", lambda run, log: run())
    monkeypatch.setattr(judge, "wait", lambda code, seconds: code)
    monkeypatch.setattr(judge, "DRAWINGS", {})
    monkeypatch.setattr(judge, "runs_own_code", lambda folder, contract, suite: False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def frame() -> pd.DataFrame:
    """Rows with every column that the contracts name."""
    random, number = np.random.default_rng(1), np.arange(ROWS)
    moments = pd.Timestamp("2025-12-01", tz="UTC") + pd.to_timedelta(number, unit="h")
    floats = {name: random.random(ROWS) for name in ("a", "w", "x")}
    return pd.DataFrame(
        {**floats, "b": number % 3, "c": number.astype(str), "t": moments, "g": moments.date, "y": number % 2}
    )


def resolved(file: ContractFile, work: Path) -> Subject:
    """Write the subject with all that its contract may give it, its data resolved as `weighin step resolve` does."""
    contract, version = file.contract, ModelVersion("m", "2", "r2", "sha256:" + "2" * 64, "models:/m/2")
    sealed, performance = contract.gates.sealed, contract.gates.performance
    first = performance is not None and performance.first_release == "allow"
    subject = Subject(
        replace(version, name=contract.model.name),
        None if first else replace(version, version="1", digest="sha256:" + "1" * 64),
        file.digest,
        {},
        True,
        replace(version, version="1") if contract.model.anchor else None,
        ReservedUse(sealed.epoch, 1, sealed.holdout_uses, "1") if sealed else None,
    )

    def stored(role: str) -> Profile:
        return datasets.profile(Relation.of(file.contract.data.source("current"), file.folder), {"a": 5}, None, None)

    rows = datasets.resolve_rows(file, work, sealed is not None, MOMENT)
    profiles = datasets.resolve_profiles(file, work, MOMENT, stored)
    trained_on = TrainedOn(compared=("`rows` by digest and row",), rows=ROWS, timed=ROWS)
    subject = replace(subject, data=datasets.merged(rows, profiles), models=SOUND, trained_on=trained_on)
    subject.write(work / "subject.json")
    return subject


def written(each: Made, folder: Path) -> ContractFile:
    """Write a contract with its data."""
    folder.mkdir()
    for name in ("a", "holdout.parquet", "reference.parquet", "current.parquet"):
        frame().to_parquet(folder / name, index=False)
    (folder / "model_contract.yaml").write_text(yaml.safe_dump(each.raw))
    return read_contract(folder / "model_contract.yaml")


def test_every_contract_that_can_be_written_runs_to_its_report(
    made: list[Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, each in enumerate(made):
        folder = tmp_path / str(number)
        file, work, reports = written(each, folder), folder / "work", folder / "reports"
        if file.contract.gates.data_quality:
            write_suite(file.contract, folder, check=False)
        assert compare(file.contract, file.contract).limits == ()
        subject = resolved(file, work)

        suites = (*file.contract.gates.names, *(["sealed"] if subject.sealed else []))
        for suite in suites:
            assert judge.run_suite(suite, file, work, reports) == 0, capsys.readouterr().out
            judge.leave_pages(file, suite, work, reports / suite)
        verdict = conclude(file, work, reports, suites, {}, annotate=True)

        assert (verdict.status, verdict.messages) == ("passed", ()), each.takes
        named = "".join((reports / name).read_text() for name in ("summary.md", "report.html"))
        for suite in suites:
            junit = ElementTree.parse(reports / suite / "junit.xml")  # noqa: S314 - our own file
            cases = junit.findall(".//testcase[@name]")
            listed = {f"test_check[{c.id}]" for c in checks(file.contract, suite)}
            assert {name for c in cases if "[" in (name := c.attrib["name"]) and "test_check" in name} == listed
            assert f"{suite}: passed" in (reports / suite / "report.html").read_text()
            assert suite in named
        decision = judge.decide_again(file, work, reports)[2]
        record = checked_record(file, subject, decision, reports, work=work)
        assert verify(reports / "record.json").digest == record.digest
        since_anchor(record.record)


def broken(check: Check, number: int) -> Measurement | Unmeasured:
    """A measurement that fails, one that holds the limit, or none; a count that fails."""
    if number % 3 == 0:
        return Unmeasured(check.id, "nothing was left")
    sign = -1 if check.limit.direction is Direction.AT_LEAST else 1
    if number % 3 == 1:
        return interval(check, check.limit.value, 0.01)
    return census(check.id, check.limit.value + sign, n=10, unit="things", method="counted")


def test_what_does_not_pass_comes_to_a_report_as_well(made: list[Made], tmp_path: Path) -> None:
    for number, each in enumerate(made):
        folder = tmp_path / str(number)
        file, work, reports = written(each, folder), folder / "work", folder / "reports"
        suites = file.contract.gates.names
        resolved(file, work)
        for suite in suites:
            found = [decide(broken(c, n), c.limit) for n, c in enumerate(checks(file.contract, suite))]
            SuiteOutcomes(suite, judge.binding_of(file, work), tuple(found), 1.0).write(reports / suite)
        verdict = conclude(file, work, reports, suites, {})
        blocking = [o["check"] for s in verdict.record["suites"] for o in s["outcomes"] if o["blocks"]]
        assert verdict.exit_code != 0
        assert blocking
        page, summary = ((reports / name).read_text() for name in ("report.html", "summary.md"))
        assert [name for name in blocking if f'data-check="{escape(name)}"' not in page] == []
        assert [name for name in blocking if f"`{markdown.code(name)}`" not in summary] == []
        verify(reports / "record.json")


def test_what_no_gate_can_read_says_why_resolving_could_not(made: list[Made], tmp_path: Path) -> None:
    (each,) = [m for m in made if "data.holdout: Query" in {one.name for one in m.takes}]
    file = written(each, tmp_path / "one")
    resolved(file, tmp_path / "one/work")
    evidence = Evidence(file, tmp_path / "one/work")
    found = [measured(check, evidence) for check in checks(file.contract, "performance")]
    assert found
    assert all(isinstance(one, Unmeasured) and "no server runs here" in one.reason for one in found)


def test_what_is_to_be_taken_is_found_in_the_models() -> None:
    names = {one.name for one in alternatives()}
    wanted = {
        *("model.task=multiclass", "group: absent", "group: str", "group: TimeBlock", "data.reference: Query"),
        *(
            "gates.load.refuses_malformed=False",
            "gates.performance.slices: empty",
            "gates.performance.slices.ranges: tuple",
        ),
    }
    assert wanted <= names
