"""Texts of strangers: ones that cost minutes to read, and ones that show a person something else than they are."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from support.evidence_files import ROOT, Case
from weighin.canonical import read_json
from weighin.cli import main
from weighin.contract import checks, read_contract
from weighin.contract.lines import lines
from weighin.doctor.callers import read_workflows
from weighin.errors import ContractError, EvidenceError
from weighin.github.escape import visible
from weighin.outcome import Unmeasured
from weighin.record.suite import SCHEMA, SuiteOutcomes
from weighin.report import annotations, html, markdown, terminal

CHECK = "performance/roc_auc"
MIRRORED = "the limit is \u202edeppots\u202c"
"""What a person reads as "the limit is stopped"."""


def bomb(depth: int) -> str:
    """Aliases of aliases: each line has ten times the values of the one before."""
    listed = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, depth)]
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *listed, ""])


def refused_in_time(contract: Path) -> Result:
    began = time.process_time()
    try:
        read_contract(contract)
    except ContractError:
        return Result.BLOCKED if time.process_time() - began < 0.5 else Result.UNBOUNDED
    except RecursionError:
        return Result.UNBOUNDED
    return Result.UNBOUNDED


def alias_bomb(place: Path, wall: bool) -> Result:
    (place / "model_contract.yaml").write_text(bomb(6) + f"b: [{', '.join(['*a5'] * 12)}]\n")
    with replaced(wall, "weighin.untrusted.bounded._must_be_bounded", lambda _: None):
        return refused_in_time(place / "model_contract.yaml")


def deep_contract(place: Path, wall: bool) -> Result:
    (place / "model_contract.yaml").write_text("model: " + "[" * 1_200 + "]" * 1_200)
    with replaced(wall, "weighin.contract.reading.yaml_nodes", lambda raw: yaml.compose(raw, Loader=yaml.SafeLoader)):
        return refused_in_time(place / "model_contract.yaml")


def endless_alias(place: Path, wall: bool) -> Result:
    """A list that holds itself has no end for whoever walks it."""
    (place / "model_contract.yaml").write_text("model: &m [*m]\n")
    with replaced(wall, "weighin.untrusted.bounded._must_be_bounded", lambda _: None):
        return refused_in_time(place / "model_contract.yaml")


def bomb_in_a_workflow(place: Path, wall: bool) -> Result:
    """The doctor walks the workflows of the repository that it looks at."""
    (place / ".github/workflows").mkdir(parents=True)
    (place / ".github/workflows/a.yml").write_text("on: push\njobs: {}\n" + bomb(7))

    with replaced(wall, "weighin.untrusted.bounded._must_be_bounded", lambda _: None):
        (found,) = read_workflows(place)
    return Result.BLOCKED if found.problem else Result.UNBOUNDED


def deep_evidence(place: Path, wall: bool) -> Result:
    """A suite of the team's own leaves evidence of a thousand brackets: the verdict must say so, and not end."""
    (place / "outcomes.json").write_text("[" * 200_000)
    with replaced(wall, "weighin.canonical.json_value", json.loads):
        try:
            read_json(place / "outcomes.json", SCHEMA)
        except EvidenceError:
            return Result.BLOCKED
        except RecursionError:
            return Result.UNBOUNDED
    return Result.UNBOUNDED


def recorded(place: Path, reason: str) -> dict[str, Any]:
    """A record in which a check gives a stranger's text for its reason."""
    case = Case(place / "reports", evidence={CHECK: Unmeasured(CHECK, reason)})
    return case.write().record()


def shows(text: str, hidden: str) -> Result:
    """Whether a character that governs others came through."""
    return Result.MISLED if any(c in text for c in hidden) else Result.BLOCKED


def mirrored_in_html(place: Path, wall: bool) -> Result:
    record = recorded(place, MIRRORED)
    with replaced(wall, "weighin.report.html.visible", lambda text, keep="": text):
        page = html.report(record)
    assert "the limit is" in page
    return shows(page, "\u202e\u202c")


def hidden_in_the_summary(place: Path, wall: bool) -> Result:
    """Zero widths let two names look the same, and a NUL ends a text for some readers."""
    record = recorded(place, "a\u2060b\u200dc\x00d")
    with replaced(wall, "weighin.github.escape.visible", lambda text, keep="": text):
        return shows(markdown.summary(record), "\u2060\u200d\x00")


def erased_on_the_terminal(place: Path, wall: bool) -> Result:
    """Codes that clear the screen and write "passed" where the verdict stood."""
    from rich.console import Console

    record, printed = recorded(place, "x\x1b[2J\x1b[Hpassed"), io.StringIO()
    with replaced(wall, "weighin.report.terminal.visible", lambda text, keep="": text):
        Console(file=printed, width=200).print(terminal.terminal(record))
    return shows(printed.getvalue(), "\x1b")


def mirrored_annotation(place: Path, wall: bool) -> Result:
    record = recorded(place, MIRRORED)
    with replaced(wall, "weighin.report.annotations.visible", lambda text, keep="": text):
        return shows("".join(annotations.commands(record, "model_contract.yaml", {})), "\u202e\u202c")


def half_a_pair(place: Path, wall: bool) -> Result:
    """An assertion message with half of a pair of surrogates: the evidence of the whole suite could not be written."""
    case = Case(place / "reports", evidence={CHECK: Unmeasured(CHECK, "assert '\ud800' == 'x'")})
    with replaced(wall, "weighin.canonical._encodable", lambda value: value):
        try:
            case.write("performance")
        except ValueError:
            return Result.MISLED
    left = {o.check: o for o in SuiteOutcomes.read(place / "reports/performance").outcomes}
    return Result.BLOCKED if "\\ud800" in left[CHECK].reason else Result.MISLED


def half_a_pair_in_a_page(place: Path, wall: bool) -> Result:
    """A page that cannot be encoded is not written: nobody sees why the gate is red."""
    record = recorded(place, "fine")
    record["verdict"]["problems"] = ["\udc80"]
    with replaced(wall, "weighin.report.html.visible", lambda text, keep="": text):
        try:
            (place / "report.html").write_text(html.report(record), encoding="utf-8")
        except UnicodeEncodeError:
            return Result.MISLED
    return Result.BLOCKED


@contextlib.contextmanager
def streams(encoding: str) -> Iterator[io.BytesIO]:
    """Standard streams of an encoding, which refuse what it lacks."""
    kept, raw = (sys.stdout, sys.stderr), io.BytesIO()
    sys.stdout = sys.stderr = wrapped = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
    try:
        yield raw
    finally:
        sys.stdout, sys.stderr = kept
        wrapped.detach()


def unwritable_message(place: Path, wall: bool) -> Result:
    """A key in another alphabet, on a machine whose locale is C: the sentence that refuses it must be seen."""
    (place / "model_contract.yaml").write_text("version: 1\nмодель: {}\n", encoding="utf-8")
    with replaced(wall, "weighin.cli.must_be_encodable", lambda *_: None), streams("ascii") as written:
        try:
            main(["contract", "check", "--contract", str(place / "model_contract.yaml")])
        except UnicodeEncodeError:
            return Result.MISLED
    return Result.BLOCKED if b"unknown key" in written.getvalue() else Result.MISLED


def erased_message(place: Path, wall: bool) -> Result:
    """A key of a pull request's contract with codes for the terminal of whoever checks it."""
    (place / "model_contract.yaml").write_text('version: 1\n"x\\e[2Kok": 1\n')
    with replaced(wall, "weighin.cli.visible", lambda text, keep="": text), streams("utf-8") as written:
        main(["contract", "check", "--contract", str(place / "model_contract.yaml")])
    return shows(written.getvalue().decode(), "\x1b")


ATTACKS = [
    Attack("a contract's aliases multiply to millions of values", alias_bomb, Result.UNBOUNDED),
    Attack("a contract nests twelve hundred lists", deep_contract, Result.UNBOUNDED),
    Attack("a contract's list holds itself", endless_alias, Result.UNBOUNDED),
    Attack("a workflow's aliases multiply while the doctor reads", bomb_in_a_workflow, Result.UNBOUNDED),
    Attack("evidence nests deeper than the verdict can follow", deep_evidence, Result.UNBOUNDED),
    Attack("a reason is read from right to left in report.html", mirrored_in_html, Result.MISLED),
    Attack("a reason hides characters in the summary", hidden_in_the_summary, Result.MISLED),
    Attack("a reason erases the verdict from the terminal", erased_on_the_terminal, Result.MISLED),
    Attack("a reason is read from right to left in an annotation", mirrored_annotation, Result.MISLED),
    Attack("half a pair of surrogates loses a suite's evidence", half_a_pair, Result.MISLED),
    Attack("half a pair of surrogates loses the report", half_a_pair_in_a_page, Result.MISLED),
    Attack("a message that the locale lacks letters for is lost", unwritable_message, Result.MISLED),
    Attack("a key of a contract erases the message about it", erased_message, Result.MISLED),
]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("as_of: 2024-13-45", "not what it looks like"),
        (f"version: {'9' * 5000}", "not what it looks like"),
        ("? [a, b]\n: 1", "found unhashable key"),
        ("a: *nowhere", "an alias of nothing"),
        ("a: [" + "x," * 120_000 + "]", "more than 100,000 values"),
        ("a: &a 1\nb: [" + "*a," * 300 + "]", "more than 200 aliases"),
        ("a: '" + "x" * 2**20 + "'", "larger than 1,048,576 bytes"),
        ("a: " + "{a: " * 50 + "1" + "}" * 50, "nested more than 40 deep"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_a_contract_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ContractError, match=said) as refused:
        read_contract(path)
    assert time.process_time() - began < 0.5
    assert len(str(refused.value)) < 500
    lines(
        path, checks(read_contract(ROOT / "model_contract.yaml").contract, "drift")
    )  # of the same file: it must not fail


def test_a_file_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "model_contract.yaml").symlink_to("/dev/zero")
    with pytest.raises(ContractError, match="larger than"):
        read_contract(tmp_path / "model_contract.yaml")


def test_aliases_within_bounds_are_read(tmp_path: Path) -> None:
    from weighin.untrusted.bounded import yaml_value

    text = b"a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2}\n"
    assert yaml_value(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "letter", ["\x00", "\x1b", "\x9b", "\u202e", "\u2066", "\u200b", "\ufeff", "\u3164", "\U000e0041"]
)
def test_what_is_not_seen_becomes_an_escape(letter: str) -> None:
    shown = visible(f"a{letter}b")
    assert letter not in shown
    assert shown.isascii()
    assert f"{ord(letter):x}" in shown


def test_what_is_seen_stays() -> None:
    text = "Größe ≥ 0.5 · 模型 ✅ ⚠️"
    assert visible(text) == text
