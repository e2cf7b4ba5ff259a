"""A promotion keeps the documents about its record, and the ledger names their digests; without any it is as before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.empty_store import empty_store
from support.promotion_trials import Stock, Trial
from weighin.canonical import digest
from weighin.document.material import read_material
from weighin.document.write import write
from weighin.errors import EvidenceError
from weighin.record.documents import FOLDER, LIST
from weighin.record.history import check_history
from weighin.registry.ledger import PREFIX, Entry
from weighin.release.promote import read_promotion
from weighin.report.history import lines


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    folder = tmp_path_factory.mktemp("documents")
    return Stock.of(empty_store(folder), folder, versions=2)


@pytest.fixture
def trial(stock: Stock, request: pytest.FixtureRequest) -> Trial:
    found = Trial(stock, "model-" + digest(request.node.name.encode())[7:19])
    found.set_up()
    return found


def documented(trial: Trial) -> Path:
    """Write the documents about the record of a trial; returns their folder."""
    case = trial.case()
    folder = case.reports / FOLDER
    write(read_material(case.file, case.reports), folder)
    return folder


def test_documents_are_kept_with_the_entry_which_names_their_digests(trial: Trial, tmp_path: Path) -> None:
    folder = documented(trial)
    expected = json.loads((folder / LIST).read_text())["files"]
    done = trial.promote()
    assert done.documents == expected
    champions = trial.champions()
    entry = champions.ledger.entries()[-1]
    assert entry.documents == "; ".join(f"{name} {said}" for name, said in sorted(expected.items()))
    champions.registry.fetch(entry.run_id, "", tmp_path / "kept")
    for name, said in expected.items():
        assert digest((tmp_path / "kept" / FOLDER / name).read_bytes()) == said
    (adopted, promoted) = check_history(champions)
    assert (adopted.problems, promoted.problems) == ((), ())
    assert expected["model-card.md"] in "".join(line.strip() for line in lines("m", "champion", [promoted]))


def test_the_same_promotion_again_names_the_same_documents(trial: Trial) -> None:
    documented(trial)
    first = trial.promote()
    again = trial.promote()
    assert again.already
    assert again.documents == first.documents
    path = trial.case().reports / "promotion.json"
    assert read_promotion(path, first.record)["documents"] == first.documents


def test_without_documents_an_entry_has_the_form_of_before(trial: Trial) -> None:
    done = trial.promote()
    entry = trial.champions().ledger.entries()[-1]
    assert (done.documents, entry.documents) == ({}, "")
    assert PREFIX + "documents" not in entry.tags()
    assert Entry("promote", "1", "2", "sha256:a", "sha256:b").sum == (
        "sha256:df62fb2c5e91f752a1dd96887791c4b5450cb5bb97730eed57daf87673c644ae"
    )


def test_a_promotion_of_before_documents_were_kept_is_still_read(trial: Trial) -> None:
    done = trial.promote()
    path = trial.case().reports / "promotion.json"
    value = json.loads(path.read_text())
    del value["documents"]
    path.write_text(json.dumps(value))
    assert read_promotion(path, done.record)["after"] == "2"


def _changed(folder: Path) -> None:
    with (folder / "model-card.md").open("a") as file:
        file.write("and more\n")


def _of_another_record(folder: Path) -> None:
    path = folder / LIST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"record": "sha256:" + "0" * 64}))


def _absent(folder: Path) -> None:
    (folder / "ml-bom.cdx.json").unlink()


def _without_list(folder: Path) -> None:
    (folder / LIST).unlink()


@pytest.mark.parametrize("spoil", [_changed, _of_another_record, _absent, _without_list])
def test_documents_that_do_not_hold_stop_the_promotion_before_anything_is_written(
    trial: Trial, spoil: Callable[[Path], None]
) -> None:
    spoil(documented(trial))
    with pytest.raises(EvidenceError):
        trial.promote()
    champions = trial.champions()
    assert champions.ledger.entries() == []
    assert champions.registry.aliased(champions.model, "champion") == "1"
