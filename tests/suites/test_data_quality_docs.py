"""What data quality shows: Data Docs hold counts, never a value, and no name of a column becomes a part of the page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from support.quality_work import BROKEN, PREFIX, QualityWork
from support.suite_work import Work
from weighin.contract import checks, read_contract
from weighin.outcome import Outcome, decide
from weighin.suites import measured
from weighin.suites.data_quality import information
from weighin.suites.evidence import Evidence

ODD = (
    '"; DROP TABLE x; --',
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a b",
    "A B",
    "it's",
    "b`t",
    "ümlaut 日本",
    "%s",
    "{x}",
    "$column",
    "a.b",
)


class Page(HTMLParser):
    """The elements of a page, its attributes that run something, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.images: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self._open = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.images += [str(dict(attrs).get("src"))] if tag == "img" else []
        self.handlers += [f"{k}={v}" for k, v in attrs if k.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts.append(data)
        self.text += data


def judged(work: Work, out: Path) -> dict[str, Outcome]:
    file = read_contract(work.folder / "model_contract.yaml")
    evidence = Evidence(file, work.folder / "work", out)
    found = {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, "data_quality")}
    (out / "information.json").write_text(json.dumps(information(evidence)))
    return found


def everything(found: dict[str, Outcome], out: Path) -> str:
    """All that a suite leaves: outcomes, table, pages."""
    pages = "".join(p.read_text() for p in out.rglob("*.html"))
    return repr(found) + (out / "information.json").read_text() + pages


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Outcome], Path]:
    """Outcomes and pages of columns whose names mean something to SQL, HTML, Python or Great Expectations.

    In each column one value is too large.
    """
    work = QualityWork(tmp_path_factory.mktemp("odd"))
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.integers(0, 10, 2_000) for name in ODD})
    table.loc[0] = 11
    table["y"] = 1
    work.frames = {"holdout": table}
    column = {"type": "integer", "minimum": 0, "maximum": 10, "severity": "warn"}
    contract = {
        "version": 1,
        "model": {"name": "m", "task": "binary", "target": "y"},
        "data": {
            "holdout": "holdout.parquet",
            "columns": {
                **{n: {**column, "order": "increasing"} for n in ODD},
                "y": {"type": "integer", "role": "target"},
            },
        },
        "gates": {
            "data_quality": {
                "rows_at_least": 1,
                "unique_together": [list(ODD[:3])],
                "compare": [{"column": ODD[0], "equal_to": ODD[1]}],
                "references": [{"column": ODD[2], "table": "holdout", "key": ODD[2]}],
            }
        },
    }
    work.contract = yaml.safe_dump(contract, allow_unicode=True)
    return judged(work.write(), work.folder), work.folder


def test_names_that_mean_something_elsewhere_are_just_names(odd: tuple[dict[str, Outcome], Path]) -> None:
    found, _ = odd
    red = {name.removeprefix(PREFIX): o.status.value for name, o in found.items() if o.status.value != "passed"}
    wanted = {f"{name}/{rule}" for name in ODD for rule in ("range", "order")}
    wanted |= {f"unique_together/{'+'.join(ODD[:3])}", f"compare/{ODD[0]}=={ODD[1]}"}
    assert red == dict.fromkeys(wanted, "failed")
    for name in ODD:
        assert found[f"{PREFIX}{name}/range"].evidence.detail["rows_breaking"] == 1


def test_a_name_never_becomes_a_part_of_the_pages(odd: tuple[dict[str, Outcome], Path]) -> None:
    _, out = odd
    pages = [Page(p) for p in (out / "data_docs").rglob("*.html")]
    assert len(pages) >= 3
    for page in pages:
        assert not [
            s for s in page.scripts if "alert(1)" in s and "<script>alert(1)" not in s and s.strip() == "alert(1)"
        ]
        assert "x" not in page.images
        assert not [h for h in page.handlers if "alert" in h]
    # They are there to be read.
    assert any("alert(1)" in page.text for page in pages)
    for path in (out / "data_docs").rglob("*.html"):
        assert "<script>alert" not in path.read_text()
        assert "<img src=x" not in path.read_text()


def test_the_pages_hold_counts_and_no_value(tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    work.holdout.loc[3, "carrier"] = "Zyxwvut"
    work.holdout.loc[4, "dest"] = "QRSTUVW"
    work.holdout.loc[5, "distance"] = 987_654
    kinds = ("expect_column_max_to_be_between", "expect_column_distinct_values_to_be_in_set")
    own = [{"type": kinds[0], "kwargs": {"column": "distance", "max_value": 1}}]
    own += [{"type": kinds[1], "kwargs": {"column": "carrier", "value_set": ["AA"]}}]
    work.contract = work.contract.replace("rows_at_most: 2000", "rows_at_most: 2000\n    own_expectations: [team]")
    work.write()
    suite = work.folder / "great_expectations/expectations/team.json"
    suite.write_text(json.dumps({"name": "team", "expectations": own}))
    (tmp_path / "out").mkdir()
    found = judged(work, tmp_path / "out")
    assert found[PREFIX + "own/team"].status.value == "failed"
    text = everything(found, tmp_path / "out")
    for value in ("Zyxwvut", "QRSTUVW", "987654", "987,654"):
        assert value not in text
    # Of columns that are not sensitive the counts are there to be read.
    assert "1 unexpected" in text
    assert "0.05%" in text


@pytest.fixture
def secret(tmp_path: Path) -> QualityWork:
    """A sensitive carrier, and three rows of one that is not allowed."""
    work = QualityWork(tmp_path)
    work.contract = work.contract.replace(
        "carrier: {type: string, allowed: [AA, UA, B6]}",
        "carrier: {type: string, allowed: [Qaaaq, Quuuq], pattern: 'Q[a-z]+q', outside_at_most: 0.0, sensitive: true}",
    )
    work.contract = work.contract.replace("carrier = 'AA'", "carrier = 'Qaaaq'")
    names = {"AA": "Qaaaq", "UA": "Quuuq", "B6": "Quuuq"}
    for table in work.frames.values():
        table["carrier"] = table["carrier"].map(names)
    work.holdout.loc[[3, 4, 5], "carrier"] = "Qzzzq"
    (tmp_path / "out").mkdir()
    return work


@pytest.mark.parametrize("when", ["carrier = 'Qyyyq'", "carrier = 'Qyyyq' Qyyyq"])
def test_a_condition_on_a_sensitive_column_that_says_nothing_is_not_quoted(when: str, secret: QualityWork) -> None:
    secret.contract = secret.contract.replace("carrier = 'Qaaaq'", when)
    found = judged(secret.write(), secret.folder / "out")
    assert found[PREFIX + "seat/range/aa"].status.value == "not_evaluated"
    assert "Qyyyq" not in everything(found, secret.folder / "out")


def test_nothing_of_a_sensitive_column_is_shown(secret: QualityWork) -> None:
    found = judged(secret.write(), secret.folder / "out")
    assert {n.removeprefix(PREFIX) for n, o in found.items() if o.status.value != "passed"} == {"carrier/allowed"}
    text = everything(found, secret.folder / "out")
    suite = (secret.folder / "great_expectations/expectations/contract.json").read_text()
    for value in ("Qaaaq", "Quuuq", "Qzzzq"):
        assert value not in text + suite
    broken = found[PREFIX + "carrier/allowed"]
    assert "rows_breaking" not in broken.evidence.detail
    for count in ("0.0015", "0.15%", "3 unexpected"):  # three of two thousand
        assert count not in text
    assert (broken.evidence.low * 2_000, broken.evidence.high * 2_000) == (1, 9)


@pytest.mark.parametrize(("share", "status"), [(0.0, "failed"), (0.002, "inconclusive"), (0.0045, "passed")])
def test_a_few_rows_of_a_sensitive_column_settle_only_limits_beyond_a_few(
    share: float, status: str, secret: QualityWork
) -> None:
    secret.contract = secret.contract.replace("outside_at_most: 0.0", f"outside_at_most: {share}")
    found = secret.write().outcomes("data_quality")
    assert found[PREFIX + "carrier/allowed"].status.value == status


def test_many_rows_of_a_sensitive_column_are_counted(secret: QualityWork) -> None:
    secret.holdout.loc[:19, "carrier"] = "Qzzzq"
    found = secret.write().outcomes("data_quality")[PREFIX + "carrier/allowed"]
    assert (found.status.value, found.evidence.estimate) == ("failed", 0.01)


def test_what_a_team_wrote_about_a_sensitive_column_is_not_quoted(secret: QualityWork) -> None:
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "carrier", "min_value": 1}}
    secret.contract = secret.contract.replace("rows_at_most: 2000", "rows_at_most: 2000\n    own_expectations: [team]")
    secret.write()
    suite = secret.folder / "great_expectations/expectations/team.json"
    kinds = {
        "type": "expect_column_distinct_values_to_contain_set",
        "kwargs": {"column": "carrier", "value_set": ["Qaaaq"]},
    }
    suite.write_text(json.dumps({"name": "team", "expectations": [mean, kinds]}))
    found = judged(secret, secret.folder / "out")
    assert found[PREFIX + "own/team"].reason == "1 expectations crashed, the first: (not shown)"
    assert "Qaaaq" not in everything(found, secret.folder / "out")


def test_every_broken_thing_leaves_its_pages(tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    BROKEN["a column is gone"][0](work)
    BROKEN["text for a time"][0](work)
    judged(work.write(), tmp_path)
    assert (tmp_path / "data_docs/holdout/index.html").is_file()
