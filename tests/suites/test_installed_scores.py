"""Scores by installed code: judged as ours where it answers properly, `not_evaluated` for whatever else it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.text_work import TextWork
from weighin.contract import read_contract
from weighin.errors import ContractError

PACKAGE = """\
SECRET = "a text of somebody"


def length(answers, references):
    print(SECRET, answers)
    return [len(a) / 100 for a in answers]


def raises(answers, references):
    raise RuntimeError(answers[0])


def missing(answers, references):
    return [float("nan")] * len(answers)


def short(answers, references):
    return [1.0] * (len(answers) - 1)


def texts(answers, references):
    return answers
"""
SCORERS = """\
from mlflow.entities import Feedback
from mlflow.genai.scorers import scorer


@scorer
def same(inputs, outputs, expectations):
    assert inputs["question"].startswith("question ")
    return Feedback(value=outputs == expectations["expected_response"])


@scorer
def words(outputs):
    return len(outputs.split())


@scorer
def prose(outputs):
    return "very good: " + outputs


@scorer
def nothing(outputs):
    return None
"""
FUNCTIONS = ("length", "raises", "missing", "short", "texts")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextWork:
    site = tmp_path / "site"
    offered = [f"{name} = of_a_team:{name}" for name in FUNCTIONS]
    offered += [f"{name} = of_mlflow:{name}" for name in ("same", "words", "prose", "nothing")]
    _install(site, "of_a_team", PACKAGE, offered)
    _install(site, "of_mlflow", SCORERS, ["twice = of_mlflow:same"])
    _install(site, "another", "", ["twice = of_mlflow:same"])
    monkeypatch.syspath_prepend(site)
    (tmp_path / "contract").mkdir()
    return TextWork(tmp_path / "contract")


def _install(site: Path, name: str, source: str, offered: list[str]) -> None:
    found = site / f"{name}-1.dist-info"
    found.mkdir(parents=True)
    (site / f"{name}.py").write_text(source)
    (found / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (found / "entry_points.txt").write_text("\n".join(["[weighin.scores]", *offered]))


def _score(work: TextWork, score: str, check: str) -> None:
    own = work.contract.replace("    checks:\n", f"    checks:\n      - {{metric: score.own, {check}}}\n")
    work.contract = own.replace("    scores:\n", f"    scores:\n      own: {{{score}}}\n")


@pytest.mark.parametrize(("most", "status"), [(0.5, "passed"), (0.01, "failed")])
def test_a_function_of_a_package_is_judged_as_ours(
    most: float, status: str, work: TextWork, capfd: pytest.CaptureFixture[str]
) -> None:
    _score(work, "entry_point: length, lower_is_better: true, unit: m", f"at_most: {most}")
    found = work.write().outcomes()["performance/score.own"]
    assert found.status.value == status
    assert found.evidence.unit == "m"  # type: ignore[union-attr]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raises", "it raised RuntimeError"),
        ("missing", "one finite number for each row"),
        ("short", "one finite number for each row"),
        ("texts", "it raised ValueError"),
        ("unheard", "no installed package has"),
        ("twice", "2 installed packages have"),
        ("length, least: 0.5", "lie outside of their range"),
    ],
)
def test_whatever_else_it_does_is_not_evaluated(name: str, says: str, work: TextWork) -> None:
    _score(work, f"entry_point: {name}", "at_least: 0")
    found = work.write().outcomes()["performance/score.own"]
    assert found.status.value == "not_evaluated"
    assert says in found.reason
    assert "word" not in found.reason.replace("each row", "")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("score", "estimate"),
    [
        ("entry_point: same", 0.9),
        ("entry_point: words", 5.5),
        ("mlflow: RegexMatch, arguments: {pattern: '^word'}", 0.9),
        ("mlflow: ResponseLength, arguments: {max_length: 14}", 0.1),
        ("mlflow: PIIDetection", 1.0),
    ],
)
def test_a_scorer_of_mlflow_is_called_row_by_row(score: str, estimate: float, work: TextWork) -> None:
    _score(work, score, "at_least: 0")
    found = work.write().outcomes()["performance/score.own"]
    assert found.evidence.estimate == pytest.approx(estimate, abs=0.05)  # type: ignore[union-attr]
    assert found.status.value == "passed"


@pytest.mark.integration
@pytest.mark.parametrize(
    "score",
    [
        "entry_point: prose",
        "entry_point: nothing",
        "mlflow: RegexMatch",
        "mlflow: RegexMatch, arguments: {pattern: '('}",
    ],
)
def test_a_scorer_that_gives_no_number_is_not_evaluated(score: str, work: TextWork) -> None:
    _score(work, score, "at_least: 0")
    found = work.write().outcomes()["performance/score.own"]
    assert found.status.value == "not_evaluated"
    assert "it raised" in found.reason
    assert "word" not in found.reason


@pytest.mark.parametrize(
    ("score", "says"),
    [
        ("mlflow: Safety", "PIIDetection"),
        ("mlflow: PIIDetection, entry_point: length", "give exactly one of"),
        ("entry_point: length, arguments: {a: 1}", "`arguments` are those of a scorer of `mlflow`"),
        ("entry_point: length, human: people", "`human` is about a `given` score"),
        ("mlflow: PIIDetection, unit: points", "`unit` is about a `given` score"),
    ],
)
def test_what_cannot_be_meant_is_refused(score: str, says: str, work: TextWork) -> None:
    _score(work, score, "at_least: 0")
    (work.folder / "model_contract.yaml").write_text(work.contract)
    with pytest.raises(ContractError) as refused:
        read_contract(work.folder / "model_contract.yaml")
    assert says in str(refused.value)
