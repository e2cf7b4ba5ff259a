"""The history as people read it: in 80 columns, in a CI log, as Markdown, and with who is champion now at the end."""

from __future__ import annotations

import pytest

from weighin.record.history import Checked
from weighin.registry.ledger import Entry
from weighin.report.history import champion_now, lines, markdown

LONG = "it answers wrongly on every second Tuesday, which nobody understands " * 12
MODEL = "a_model_with_a_name_that_is_longer_than_any_line_of_a_terminal_could_ever_be_in_a_bank"


def entry(number: int, after: str, **more: str) -> Checked:
    said = {"actor": "octocat", "created": f"2026-11-{number:02}T10:00:00+00:00", **more}
    action = "promote" if number > 1 else "adopt"
    return Checked(Entry(action, str(number - 1), after, "sha256:x", number=number, **said), ())


HISTORY = (
    entry(1, "1"),
    entry(2, "2", record="sha256:" + "d" * 64, change="performance/roc_auc/vs-anchor 0.01 [0, 0.02]; " * 30),
    entry(3, "3", owner="team-a", reason=LONG),
)


def shown(checked: tuple[Checked, ...], named: str, *, as_markdown: bool = False) -> str:
    body = (markdown if as_markdown else lines)(MODEL, "champion", checked)
    return "\n".join([*body, *champion_now("champion", checked, named, as_markdown=as_markdown)])


def test_no_line_is_longer_than_a_terminal_and_nothing_is_lost() -> None:
    text = shown(HISTORY, "3")
    assert max(map(len, text.splitlines())) <= 80
    assert not any(line != line.rstrip() for line in text.splitlines())
    words = " ".join(text.split())
    assert " ".join(LONG.split()) in words
    assert words.count("roc_auc/vs-anchor") == 30


def test_a_log_gets_no_colour_and_no_control_character() -> None:
    text = shown((entry(1, "1", actor="\x1b[31mred", reason="a\x07b"),), "1")
    assert [c for c in text if not c.isprintable() and c != "\n"] == []


@pytest.mark.parametrize("as_markdown", [True, False])
def test_it_says_at_the_end_who_is_champion_now(as_markdown: bool) -> None:
    last = shown(HISTORY, "3", as_markdown=as_markdown).splitlines()[-1]
    assert last == "Champion now: version 3, since 2026-11-03T10:00:00+00:00 (entry 3)."


def test_an_alias_that_says_something_else_is_named() -> None:
    said = " ".join(champion_now("champion", HISTORY, "2", as_markdown=False))
    assert said.endswith("(entry 3). The alias `champion` names version 2.")
    assert " ".join(champion_now("champion", HISTORY, "", as_markdown=False)).endswith("names no version.")


def test_a_champion_from_before_the_ledger_is_named_as_such() -> None:
    said = " ".join(shown((), "7").split())
    assert said.endswith("Champion now: version 7, by the alias `champion` alone. The ledger has no entry yet.")
    assert shown((), "").endswith("Nothing was promoted yet, so no version is champion.")


def test_markdown_is_a_table_with_the_newest_first_that_no_text_breaks() -> None:
    text = shown((*HISTORY, entry(4, "4", actor="a | b", reason="<img> @team")), "4", as_markdown=True)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["4", "3", "2", "1"]
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}
    assert "<img>" not in text
    assert "@team" not in text


def test_what_does_not_hold_comes_first() -> None:
    broken = Checked(HISTORY[1].entry, ("the record is another",))
    text = "\n".join(lines("fraud", "champion", (broken,)))
    assert text.index("DOES NOT HOLD: the record is another") < text.index("by: octocat")
