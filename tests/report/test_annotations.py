"""Annotations lead to the line of the contract, are few enough to be shown, and nothing in them is a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.evidence_files import ROOT, Case, interval
from weighin.contract import checks, read_contract
from weighin.contract.lines import lines
from weighin.outcome import Unmeasured
from weighin.report.annotations import commands

CONTRACT = ROOT / "model_contract.yaml"
TEXT = CONTRACT.read_text().splitlines()


def line_of(name: str, path: Path = CONTRACT) -> str:
    (check,) = (c for c in checks(read_contract(path).contract) if c.id == name)
    return path.read_text().splitlines()[lines(path, [check])[name] - 1].strip()


@pytest.mark.parametrize(
    ("check", "starts"),
    [
        ("data_quality/holdout/temp/range", "temp: {type: float"),
        ("data_quality/holdout/rows", "rows_at_least: 10000"),
        ("data_quality/current/fresh/scheduled_departure", "- {column: scheduled_departure"),
        ("data_quality/current/compare/temp>=dewp", "- {column: temp, at_least: dewp}"),
        ("data_quality/holdout/training_rows", "data_quality:"),
        ("performance/changed", "performance:"),
        ("performance/roc_auc", "- {metric: roc_auc, at_least: 0.65}"),
        ("performance/roc_auc/vs-champion", "- {metric: roc_auc, against: champion, margin: 0.01}"),
        ("performance/roc_auc/vs-champion/origin=JFK", "- {column: origin, values: [EWR, JFK, LGA], metric: roc_auc"),
        ("performance/roc_auc/vs-champion/carrier=other", "- {column: carrier"),
        ("performance/fairness/error_rate/origin=EWR-minus-JFK", "- {column: origin, values: [EWR, JFK, LGA], measure"),
        ("drift/temp", "temp: {at_most: 0.5, bins: 4"),
        ("drift/origin", "at_most: 0.1"),
        ("explainability/share/temp", "share_at_most: 0.9"),
        ("load/within-300-ms", "within: {latency_ms: 300"),
        ("load/p50", "quantiles: [{quantile: 0.5"),
        ("load/peak/within-500-ms", "peak: {rate: 20"),
        ("load/peak-memory", "memory_mb_at_most: 1200"),
        ("load/wrong-answers", "tolerance: 1.0e-9"),
        ("load/malformed", "load:"),
    ],
)
def test_a_check_leads_to_the_line_of_its_limit(check: str, starts: str) -> None:
    assert line_of(check).startswith(starts)


def every_kind() -> list[Path]:
    return [CONTRACT, *sorted(ROOT.glob("examples/*/model_contract.yaml"))]


@pytest.mark.parametrize("path", every_kind(), ids=lambda p: p.parent.name)
def test_the_line_of_every_check_shows_its_key_or_that_of_its_gate(path: Path) -> None:
    text, contract = path.read_text().splitlines(), read_contract(path).contract
    listed = [*checks(contract), *(checks(contract, "sealed") if contract.gates.sealed else ())]
    found = lines(path, listed)
    assert set(found) == {c.id for c in listed}
    for check in listed:
        line = text[found[check.id] - 1]
        if isinstance(check.path[-1], int):
            shown = line.lstrip().startswith("- ") or f"{check.path[-2]}: [" in line
        else:
            shown = f"{check.path[-1]}:" in line
        gate = check.path[0] if check.path[0] == "model" else check.suite
        assert shown or line.strip().startswith(f"{gate}:"), (check.id, check.path, line)
        assert check.path[0] in ("data", "waivers", "model") or check.path[1] == check.suite, check.path


def test_a_waived_check_leads_to_its_waiver(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    waiver = "  - {check: performance/recall, limit: 0.1, owner: a, reason: b, expires: 2100-01-01}"
    path.write_text("\n".join([*TEXT, "waivers:", waiver]))
    assert line_of("performance/recall", path).startswith("- {check: performance/recall")


def test_a_contract_that_cannot_be_read_has_no_lines(tmp_path: Path) -> None:
    listed = checks(read_contract(CONTRACT).contract)
    (tmp_path / "c.yaml").write_text("a: [")
    assert lines(tmp_path / "c.yaml", listed) == {}
    assert lines(tmp_path / "no.yaml", listed) == {}


def record(case: Case, **evidence: object) -> dict:
    case.evidence |= evidence
    return case.write().record()


def test_what_blocks_is_an_error_and_what_warns_a_warning(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    for name in ("performance/roc_auc", "performance/roc_auc/vs-champion/origin=JFK"):
        case.evidence[name] = interval(case.check(name), case.check(name).limit.value - 0.1, 0.01)
    found = commands(record(case), "model_contract.yaml", {"performance/roc_auc": 77})
    assert [c.split(" ", 1)[0] for c in found] == ["::error", "::warning"]
    assert found[0].startswith(
        "::error file=model_contract.yaml,line=77,title=performance/roc_auc%3A failed::0.55 AUC ["
    )
    assert "limit ≥ 0.65" in found[0]


def test_ten_are_shown_and_the_last_counts_the_rest(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    broken = list(checks(case.file.contract, "data_quality"))[:25]
    evidence = {c.id: Unmeasured(c.id, f"no such column: {n}") for n, c in enumerate(broken)}
    found = commands(record(case, **evidence), "c.yaml", {})
    assert len(found) == 10
    assert "title=16 more::" in found[-1]
    assert commands(record(Case(tmp_path / "all")), "c.yaml", {}) == []


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    text = "x\n::set-env name=A::b\r%0A::error::c\x1b[31m"
    case.evidence["drift/temp"] = Unmeasured("drift/temp", text)
    found = commands(record(case), "a,b:c.yaml\n::error::x", {})
    assert len(found) == 1
    assert len(found[0].splitlines()) == 1
    assert "\x1b" not in found[0]
    assert found[0].startswith("::error file=a%2Cb%3Ac.yaml%0A%3A%3Aerror%3A%3Ax,line=1,")
