"""The documents: what stands in the record stands in them, what is not known says so, and nothing runs in them."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.documents import CARD, CONTRACT, case, drill, material, recorded, write_drill
from support.evidence_files import interval
from weighin.cli import main
from weighin.document import contents
from weighin.document.blocks import not_known
from weighin.document.markdown import report
from weighin.document.material import Material, read_material
from weighin.document.ml_bom import demand_valid, ml_bom
from weighin.document.model_card import model_card
from weighin.document.page import page
from weighin.document.write import write
from weighin.errors import EvidenceError, SystemFault
from weighin.outcome import Unmeasured
from weighin.record.documents import FOLDER, LIST, read_documents
from weighin.record.history import Checked
from weighin.registry.ledger import Entry

HOSTILE = '</td><script>alert(1)</script>| @team [x](http://x.example) \u202e`&"'
TITLES = (
    "Purpose", "Data", "Performance", "Fairness", "Robustness", "Explainability", "Limits of use",
    "Champion and effective challenge", "Monitoring plan", "Approvals", "History", "Evidence",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """What is known of a model when everybody did their part."""
    made = case(tmp_path_factory.mktemp("whole"))
    write_drill(made, drill(recorded(made)))
    entry = Entry("promote", "7", "8", "sha256:" + "8" * 64, "sha256:" + "9" * 64, actor="release", number=1)
    return read_material(made.file, made.reports, history=[Checked(entry, ())])


def texts(of: Material) -> tuple[str, str, str]:
    parts = contents.sections(of)
    return report(of, parts), page(of, parts), model_card(of, parts)


def front_matter(card: str) -> dict[str, Any]:
    head = card.split("\n---\n", 1)[0].removeprefix("---\n")
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def test_the_report_has_a_section_for_each_heading_and_says_what_sr_11_7_and_annex_iv_call_it(whole: Material) -> None:
    parts = contents.sections(whole)
    assert tuple(s.title for s in parts)[:-1] == TITLES
    for section in parts:
        assert [name.partition(",")[0] for name in section.names] == ["SR 11-7", "Annex IV"]
    text, html, _ = texts(whole)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[1:-1] == list(TITLES)
    assert re.findall(r"<h2 id=[^>]+>\d+\. ([^<]+)</h2>", html)[:-1] == list(TITLES)


def test_every_check_with_an_interval_stands_in_the_report_with_the_numbers_of_the_record(whole: Material) -> None:
    text, html, _ = texts(whole)
    rows = dict(re.findall(r"^\| `([^`]+)` \| \S+ \w[^|]*\| (.*)$", text, re.MULTILINE))
    sampled = [v for v in whole.views if v.interval != "exact"]
    assert len(sampled) > 40
    for view in sampled:
        assert view.interval in rows[view.check]
        assert view.limit in rows[view.check]
    shown = set(map(unescape, re.findall(r'data-check="([^"]+)"', html)))
    assert {v.check for v in sampled} <= shown


def test_what_people_said_stands_in_all_documents(whole: Material) -> None:
    for text in texts(whole):
        assert "Tells passengers which flights will be late." in text
        assert "operations research" in text
        assert "Rating airlines" in text
        assert "models@example.org" in text


def test_a_contract_without_a_card_has_documents_that_say_what_is_not_known(tmp_path: Path) -> None:
    found = material(case(tmp_path, CONTRACT))
    missing = {block.what: block.remedy for _, block in not_known(contents.sections(found))}
    for key, what in (
        ("purpose", "the purpose of the model"),
        ("owner", "who answers for the model"),
        ("out_of_scope", "uses that the model is not made for"),
        ("contact", "where questions go"),
        ("licence", "the licence"),
    ):
        assert missing[what] == f"write `card.{key}` in the contract"
    for text in texts(found)[:2]:
        assert all(what.partition(" `")[0] in unescape(text) for what in missing)


@pytest.mark.parametrize(
    ("gate", "what"),
    [
        ("explainability", "which features the predictions rest on"),
        ("load", "latency and errors under load"),
        ("drift", "whether recent data are like earlier ones"),
    ],
)
def test_a_gate_that_the_contract_lacks_is_not_known(tmp_path: Path, gate: str, what: str) -> None:
    contract = yaml.safe_load(CONTRACT)
    del contract["gates"][gate]
    found = material(case(tmp_path, yaml.safe_dump(contract)))
    assert what in {block.what for _, block in not_known(contents.sections(found))}


def test_drill_history_and_approvals_are_not_known_until_somebody_tells(tmp_path: Path, whole: Material) -> None:
    told = {block.what for _, block in not_known(contents.sections(whole))}
    silent = {block.what for _, block in not_known(contents.sections(material(case(tmp_path / "silent"))))}
    assert silent - told == {
        "which faults of known size this gate blocks",
        "who was champion before, and by whom",
    }


def test_the_drill_stands_in_the_report_with_what_it_missed(whole: Material) -> None:
    text, html, _ = texts(whole)
    assert "Of 2 faults that this gate can meet it blocked 1 at their stated size" in text
    assert "MISSED: the candidate would pass with it" in text
    assert "0.015 (0.01 to 0.02)" in html


def test_a_candidate_that_failed_has_documents_that_say_so(tmp_path: Path) -> None:
    made = case(tmp_path)
    check = made.check("performance/roc_auc")
    made.evidence[check.id] = interval(check, check.limit.value - 0.2, 0.01)
    for text in texts(material(made)):
        assert "Failed: flight-delay version 2 may not replace version 1" in text


def test_texts_of_strangers_are_inert(tmp_path: Path) -> None:
    made = case(tmp_path)
    check = made.check("drift/temp")
    made.evidence[check.id] = Unmeasured(check.id, HOSTILE)
    found = material(made)
    text, html, card = texts(found)
    for shown in (text, html, card):
        assert "<script" not in shown
        assert "\u202e" not in shown
    assert "&lt;script&gt;" in html
    assert not re.search(r"(?<!\\)\[x\]", text)
    assert " @team" not in text
    assert "default-src 'none'" in html
    assert not re.search(r"\b(src|href)\s*=\s*[\"']?[^#\"']", html)


def test_a_text_of_the_card_cannot_end_the_metadata(tmp_path: Path) -> None:
    licence = 'licence: "x\\u2028---\\u2028license: mit"'
    found = material(case(tmp_path, (CONTRACT + CARD).replace("licence: Apache-2.0", licence)))
    values = front_matter(texts(found)[2])
    assert values["license"] == "other"
    assert "mit" in values["license_name"]


def test_the_metadata_are_those_that_hubs_read(whole: Material) -> None:
    values = front_matter(texts(whole)[2])
    assert values["license"] == "apache-2.0"
    assert values["pipeline_tag"] == "tabular-classification"
    (index,) = values["model-index"]
    (result,) = index["results"]
    assert result["dataset"]["revision"] == whole.record["data"]["holdout"]["sha256"]
    stored = {o["check"]: o["evidence"] for s in whole.record["suites"] for o in s["outcomes"]}
    assert [m["type"] for m in result["metrics"]] == values["metrics"]
    for metric in result["metrics"]:
        assert metric["value"] == stored[f"performance/{metric['type']}"]["estimate"]
        assert " to " in metric["name"]


def test_the_bill_of_materials_has_datasets_with_digests_and_metrics_with_intervals(whole: Material) -> None:
    value = json.loads(ml_bom(whole))
    assert (value["bomFormat"], value["specVersion"]) == ("CycloneDX", "1.6")
    model = value["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    hashes = {c["name"]: "sha256:" + c["hashes"][0]["content"] for c in value["components"]}
    assert hashes == {name: one["sha256"] for name, one in whole.record["data"].items()}
    stored = {o["check"]: o["evidence"] for s in whole.record["suites"] for o in s["outcomes"]}
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    sampled = [v for v in whole.suite("performance", "load") if v.interval != "exact"]
    assert len(metrics) == len(sampled)
    (auc,) = [m for m in metrics if m["type"] == "roc_auc"]
    held = stored["performance/roc_auc"]
    assert float(auc["value"]) == held["estimate"]
    ends = auc["confidenceInterval"]
    assert (float(ends["lowerBound"]), float(ends["upperBound"])) == (held["low"], held["high"])
    assert "origin=EWR" in {m.get("slice") for m in metrics}


def test_a_bill_of_materials_that_does_not_fit_its_schema_is_refused(whole: Material) -> None:
    value = json.loads(ml_bom(whole))
    value["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.7
    with pytest.raises(EvidenceError, match=r"metadata/component/modelCard/quantitativeAnalysis"):
        demand_valid(json.dumps(value).encode())


def test_the_same_record_gives_the_same_bytes(whole: Material, tmp_path: Path) -> None:
    first = write(whole, tmp_path / "one")
    assert write(whole, tmp_path / "two") == first
    assert set(first) == {"model-card.md", "ml-bom.cdx.json", "validation-report.md", "validation-report.html"}


def test_documents_are_read_back_for_their_record_alone(tmp_path: Path) -> None:
    made = case(tmp_path)
    found = material(made)
    assert read_documents(made.reports, found.digest) == {}
    digests = write(found, made.reports / FOLDER)
    kept = read_documents(made.reports, found.digest)
    assert set(kept) == {f"{FOLDER}/{name}" for name in (*digests, LIST)}
    with pytest.raises(EvidenceError, match="another record"):
        read_documents(made.reports, "sha256:" + "0" * 64)
    with (made.reports / FOLDER / "model-card.md").open("a") as file:
        file.write("and more\n")
    with pytest.raises(EvidenceError, match="changed since"):
        read_documents(made.reports, found.digest)


def test_documents_of_before_do_not_stay_beside_new_ones(tmp_path: Path) -> None:
    made = case(tmp_path)
    found = material(made)
    folder = made.reports / FOLDER
    folder.mkdir()
    (folder / "validation-report.pdf").write_bytes(b"%PDF-old")
    write(found, folder)
    assert not (folder / "validation-report.pdf").exists()


def test_the_command_writes_the_documents_and_says_their_digests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = case(tmp_path)
    recorded(made)
    assert main(["document", str(made.reports), "--contract", str(made.file.path)]) == 0
    out = capsys.readouterr().out
    listed = json.loads((made.reports / FOLDER / LIST).read_text())["files"]
    assert len(listed) == 4
    assert all(f"{made.reports / FOLDER / name}  {said}" in out for name, said in listed.items())


def test_a_changed_record_ends_with_1_and_leaves_no_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = case(tmp_path)
    recorded(made)
    path = made.reports / "record.json"
    path.write_bytes(path.read_bytes().replace(b'"status":"passed"', b'"status":"failed"', 1))
    assert main(["document", str(made.reports), "--contract", str(made.file.path)]) == 1
    assert "record.json" in capsys.readouterr().err
    assert not (made.reports / FOLDER).exists()


def test_without_a_browser_the_pdf_is_refused_in_a_sentence_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = case(tmp_path)
    found = material(made)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemFault, match="no browser is there"):
        write(found, made.reports / FOLDER, pdf=True)
    assert not (made.reports / FOLDER).exists()
