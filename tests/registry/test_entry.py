"""One entry of a ledger: what is written, what its sums stand for, and what people read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from weighin.registry.ledger import Entry
from weighin.registry.listing import Version

FULL = Entry(
    action="rollback",
    before="3",
    after="2",
    artifact="sha256:a",
    record="sha256:r",
    parent="sha256:p",
    owner="team-a",
    reason="it answers wrongly",
    emergency=True,
    actor="host/1",
    url="https://ci.example/7",
    created="2026-01-02T03:04:05+00:00",
    evidence="sha256:e",
    change="roc_auc 0.01 [0, 0.02]",
    documents="model-card.md sha256:d",
)
WRITTEN = {
    "schema": "weighin/ledger/v1",
    "action": "rollback",
    "before": "3",
    "after": "2",
    "artifact": "sha256:a",
    "record": "sha256:r",
    "parent": "sha256:p",
    "owner": "team-a",
    "reason": "it answers wrongly",
    "emergency": "yes",
    "actor": "host/1",
    "url": "https://ci.example/7",
    "created": "2026-01-02T03:04:05+00:00",
    "evidence": "sha256:e",
    "change": "roc_auc 0.01 [0, 0.02]",
    "documents": "model-card.md sha256:d",
}
OTHERS = {"created": "2027", "actor": "host/2", "url": "https://ci.example/8", "evidence": "sha256:f"}
NOTED: dict[str, Any] = {"number": 7, "run_id": "run", "mirrored": True, "begun": ("x",), "served": "2026"}


def summed(values: dict[str, str]) -> str:
    """The digest of texts as canonical JSON, which for plain letters is sorted and without spaces."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_what_is_written_is_every_value_and_their_sum() -> None:
    assert FULL.sum == summed(WRITTEN)
    assert FULL.tags() == {f"weighin.ledger.{k}": v for k, v in {**WRITTEN, "sum": summed(WRITTEN)}.items()}
    assert replace(FULL, emergency=False).tags()["weighin.ledger.emergency"] == "no"


def test_an_entry_without_documents_has_no_tag_of_them_as_those_that_are_older() -> None:
    older = {k: v for k, v in WRITTEN.items() if k != "documents"}
    assert replace(FULL, documents="").sum == summed(older)


def test_a_wish_is_the_same_whoever_makes_it_and_when() -> None:
    wish = {k: v for k, v in WRITTEN.items() if k not in OTHERS}
    assert FULL.content_hash == summed(wish) == replace(FULL, **OTHERS).content_hash


@pytest.mark.parametrize("name", [f.name for f in fields(Entry)])
def test_a_value_is_part_of_the_sum_unless_the_registry_gives_it_or_it_is_noted_later(name: str) -> None:
    value = getattr(FULL, name)
    other = replace(FULL, **{name: NOTED.get(name, (not value) if isinstance(value, bool) else f"{value}!")})
    assert other != FULL
    assert (other.sum == FULL.sum) is (name in NOTED)
    assert (other.content_hash == FULL.content_hash) is (name in NOTED or name in OTHERS)


def test_what_was_written_is_read_again_with_what_was_noted_since() -> None:
    tags = {
        **FULL.tags(),
        "weighin.ledger.mirrored": "2026-01-02T03:05:00+00:00",
        "weighin.ledger.served": "no server answers",
        "weighin.ledger.mirroring.b": "begun",
        "weighin.ledger.mirroring.a": "begun",
        "weighin.ledger.mirroring.c": "2026-01-02T03:05:00+00:00",
        "team": "risk",
    }
    assert Entry.of(Version("12", tags, "run-3", "")) == replace(
        FULL,
        number=12,
        run_id="run-3",
        mirrored=True,
        begun=("weighin.ledger.mirroring.a", "weighin.ledger.mirroring.b"),
        served="no server answers",
    )
    bare = Entry.of(Version("1", FULL.tags(), "", ""))
    assert bare == replace(FULL, number=1)
    assert (bare.run_id, bare.mirrored, bare.begun, bare.served) == ("", False, (), "")


def test_only_what_was_written_as_an_emergency_is_one() -> None:
    calm = replace(FULL, emergency=False)
    assert Entry.of(Version("1", calm.tags(), "", "")).emergency is False


def test_the_page_of_an_entry_says_what_its_tags_say() -> None:
    assert str(FULL) == (
        "**EMERGENCY** rollback: version 3 to 2, by `host/1`, 2026-01-02T03:04:05+00:00\n\nrecord `sha256:r`\n\n"
        "owner: `team-a`\n\nreason: `it answers wrongly`\n\nrun: `https://ci.example/7`\n\n"
        "since the anchor: `roc_auc 0.01 [0, 0.02]`"
    )
    first = Entry("adopt", "", "1", "sha256:a", actor="host/1", created="2026")
    assert str(first) == "adopt: version none to 1, by `host/1`, 2026\n\nno record"


def test_a_sentence_about_an_entry_says_why_where_somebody_said_it() -> None:
    numbered = replace(FULL, number=12)
    said = "entry 12, rollback to version 2 by host/1, 2026-01-02T03:04:05+00:00"
    assert numbered.described == f"{said}: it answers wrongly"
    assert replace(numbered, reason="").described == said


def test_what_people_wrote_is_no_markup_and_no_line_of_its_own() -> None:
    hostile = replace(FULL, actor="a`b\nc\x00d  e", reason="`# x`\u202ey", owner="")
    assert ", by `a b c d e`, " in str(hostile)
    assert "reason: `# x y`" in str(hostile)
    assert hostile.described.endswith("by a b c d e, 2026-01-02T03:04:05+00:00: # x y")
