"""Who is champion: one success for a baseline, nothing forgotten, nothing changed unnoticed, killed anywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import processes, registry_versions
from support.empty_store import empty_store
from support.interruptions import in_database
from support.promotion_trials import DEEDS, Stock, warmed_up
from support.registry_versions import entered
from support.rewritten_ledger import files_of, kept_elsewhere, promoted_twice, rewrite
from weighin.cli import main
from weighin.errors import PromotionError, RegistryError
from weighin.record.history import check_history
from weighin.record.signature import make_key
from weighin.registry.champion import ENTRY, HEAD, ChampionRegistry
from weighin.registry.ledger import MIRRORED, PREFIX, Entry
from weighin.registry.mlflow import Registry
from weighin.release.rollback import rollback

MODEL = "m"
ROOT = Path(__file__).resolve().parents[2]
CALM = {"owner": "team-a", "reason": "it answers wrongly"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four versions of a model, the first of which is champion."""
    place = tmp_path_factory.mktemp("registry")
    address = empty_store(place)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    client.create_registered_model(MODEL)
    for number in range(1, 5):
        folder = files(address, number)
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(f"version: {number}")
        client.create_model_version(MODEL, str(folder))
    client.set_registered_model_alias(MODEL, "champion", "1")
    return registry_versions.template(place)


@pytest.fixture
def uri(registry: Path, tmp_path: Path) -> str:
    """Nothing was promoted yet."""
    return registry_versions.restored(registry, tmp_path)


@pytest.fixture
def uri_2(registry: Path, tmp_path: Path) -> str:
    """Version 2 was promoted."""
    (tmp_path / "evidence").mkdir()
    return registry_versions.restored(registry, tmp_path, "2", model=MODEL)


@pytest.fixture
def uri_3(registry: Path, tmp_path: Path) -> str:
    """Version 2 was promoted, and version 3 after it."""
    (tmp_path / "evidence").mkdir()
    return registry_versions.restored(registry, tmp_path, "2", "3", model=MODEL)


def files(uri: str, number: int) -> Path:
    """Where the files of a version are."""
    return Path(uri.removeprefix("sqlite:///")).parent / f"artifacts/model-{number}"


def champions(uri: str) -> ChampionRegistry:
    return registry_versions.champions(uri, MODEL)


def aliases(uri: str) -> tuple[str | None, str | None]:
    registry = Registry(uri)
    return registry.aliased(MODEL, "champion"), registry.aliased(MODEL, "previous")


def digest_of(uri: str, version: str, folder: Path) -> str:
    return Registry(uri).digest(MODEL, version, folder)


def promoted(uri: str, version: str, tmp_path: Path) -> Entry:
    return registry_versions.promoted(uri, version, tmp_path, MODEL)


def test_entries_chain_and_the_aliases_follow(uri_3: str, tmp_path: Path) -> None:
    entries = champions(uri_3).ledger.entries()
    assert [(e.action, e.before, e.after) for e in entries] == [
        ("adopt", "", "1"),
        ("promote", "1", "2"),
        ("promote", "2", "3"),
    ]
    assert [e.parent for e in entries] == ["", entries[0].sum, entries[1].sum]
    assert aliases(uri_3) == ("3", "2")


def test_of_two_that_saw_the_same_champion_one_wins_and_the_other_is_told(uri_2: str, tmp_path: Path) -> None:
    of = champions(uri_2)
    head = of.ledger.head()
    entered(of, "promote", head, "2", "3", "sha256:c", tmp_path / "evidence", record="sha256:r3")
    with pytest.raises(PromotionError, match="another came first: promote to version 3"):
        entered(of, "promote", head, "2", "4", "sha256:d", tmp_path / "evidence", record="sha256:r4")
    assert [e.after for e in of.ledger.entries()] == ["1", "2", "3"]
    assert of.reconcile()[1] == "3"


def test_the_same_wish_again_is_the_same_entry(uri_2: str, tmp_path: Path) -> None:
    of = champions(uri_2)
    head = of.ledger.head()
    one, other = (
        entered(of, "promote", head, "2", "3", "sha256:c", tmp_path / "evidence", record="sha256:r") for _ in (1, 2)
    )
    assert one == other
    assert len(of.registry.entries(f"{MODEL}.ledger")) == 3


def contend(uri: str, number: int, folder: Path, barrier: Any, queue: Any) -> None:
    of = champions(uri)
    head = of.ledger.head()
    barrier.wait(timeout=120)
    try:
        entered(of, "promote", head, "2", str(3 + number % 2), f"sha256:{number}", folder, record=f"sha256:{number}")
        queue.put("won")
    except PromotionError:
        queue.put("lost")
    except RegistryError as error:
        queue.put(str(error))


def test_of_many_processes_at_once_exactly_one_wins(uri_2: str, tmp_path: Path) -> None:
    made = processes.context()
    barrier, queue = made.Barrier(6), made.Queue()
    given = [(uri_2, n, tmp_path / "evidence", barrier, queue) for n in range(10, 16)]
    workers = [made.Process(target=contend, args=each) for each in given]
    for worker in workers:
        worker.start()
    said = [queue.get(timeout=180) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    assert sorted(said) == ["lost"] * 5 + ["won"]
    assert len(champions(uri_2).ledger.entries()) == 3
    # Who saw in time that another had come first has left none.
    assert 3 <= len(champions(uri_2).registry.entries(f"{MODEL}.ledger")) <= 2 + 6


# --- what somebody did by hand


def test_an_alias_that_was_moved_by_hand_blocks_and_can_be_restored(uri_2: str, tmp_path: Path) -> None:
    Registry(uri_2).move_alias(MODEL, "champion", "4")
    with pytest.raises(PromotionError, match=r"names version 4, and the ledger says version 2 .* by hand"):
        champions(uri_2).reconcile()
    champions(uri_2).reconcile(restore=True)
    assert aliases(uri_2) == ("2", "1")


def test_a_tag_that_was_edited_is_noticed(uri: str, tmp_path: Path) -> None:
    entry = promoted(uri, "2", tmp_path)
    Registry(uri).tag(f"{MODEL}.ledger", str(entry.number), {PREFIX + "after": "3"})
    with pytest.raises(RegistryError, match="entry 2 was changed"):
        champions(uri).reconcile()


@pytest.mark.parametrize("number", ["1", "2", "3"])
def test_an_entry_that_was_deleted_is_noticed(number: str, uri_3: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri_3).delete_model_version(f"{MODEL}.ledger", number)
    with pytest.raises(RegistryError, match=r"entry \d is missing|became champion by entry 3, and the last entry is 2"):
        champions(uri_3).reconcile()


def test_a_ledger_that_was_deleted_is_noticed(uri_2: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri_2).delete_registered_model(f"{MODEL}.ledger")
    with pytest.raises(RegistryError, match="became champion by entry 2, and the last entry is 0"):
        champions(uri_2).reconcile()


def again(uri: str, tmp_path: Path, model: str = MODEL) -> None:
    """Delete a registered model and register versions under its name again: numbers begin at 1 again."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    client.delete_registered_model(model)
    client.create_registered_model(model)
    for number in range(1, 5):
        client.create_model_version(model, str(files(uri, number)))


def test_a_model_that_was_registered_again_is_noticed(uri_2: str, tmp_path: Path) -> None:
    again(uri_2, tmp_path)
    Registry(uri_2).move_alias(MODEL, "champion", "2")
    Registry(uri_2).move_alias(MODEL, "previous", "1")
    for command in (
        lambda: champions(uri_2).reconcile(),
        lambda: rollback(champions(uri_2), "1", emergency=True, **CALM),
    ):
        with pytest.raises(RegistryError, match=r"version 2, champion by entry 2 .* registered again"):
            command()
    with pytest.raises(RegistryError, match="registered again"):
        champions(uri_2).reconcile(restore=True)


def test_a_model_that_was_deleted_is_noticed(uri_2: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri_2).delete_model_version(MODEL, "2")
    with pytest.raises(RegistryError, match=r"version 2, champion by entry 2 .* it is not there"):
        champions(uri_2).reconcile()
    MlflowClient(tracking_uri=uri_2).delete_registered_model(MODEL)
    with pytest.raises(RegistryError, match="it is not there"):
        champions(uri_2).reconcile()


def test_a_ledger_that_was_registered_again_is_noticed(uri_2: str, tmp_path: Path) -> None:
    again(uri_2, tmp_path, f"{MODEL}.ledger")
    with pytest.raises(RegistryError, match="entry 1 was changed: no tag"):
        champions(uri_2).reconcile()


@pytest.mark.parametrize("said", ["1", "9", "x"])
def test_the_number_of_the_entry_that_was_edited_is_noticed(said: str, uri_2: str, tmp_path: Path) -> None:
    Registry(uri_2).tag(MODEL, "2", {ENTRY: said})
    with pytest.raises(RegistryError, match=r"the tag was changed|the last entry is 2"):
        champions(uri_2).reconcile()


def test_the_other_alias_that_was_moved_by_hand_is_noticed_too(uri_2: str, tmp_path: Path) -> None:
    Registry(uri_2).move_alias(MODEL, "previous", "4")
    with pytest.raises(PromotionError, match=r"`previous` names version 4, and the ledger says version 1 .* by hand"):
        champions(uri_2).reconcile()
    champions(uri_2).reconcile(restore=True)
    assert aliases(uri_2) == ("2", "1")


def test_an_entry_of_somebody_who_may_not_change_the_model_makes_nobody_champion(uri_2: str, tmp_path: Path) -> None:
    of = champions(uri_2)
    head = of.ledger.head()
    assert head is not None
    forged = replace(head, before="2", after="3", parent=head.sum, actor="mallory")
    of.ledger.append(forged, tmp_path / "evidence")
    with pytest.raises(RegistryError, match="mallory, who wrote the entry, may not change the model"):
        of.reconcile()
    # Not even with the note that it has been mirrored.
    of.registry.tag(f"{MODEL}.ledger", "3", {MIRRORED: "now"})
    with pytest.raises(RegistryError, match=r"its tag .* says nothing"):
        of.reconcile()
    assert aliases(uri_2) == ("2", "1")


# --- what a process that was stopped does too late


def test_an_alias_that_is_moved_late_is_moved_again_and_then_never_more(uri_2: str, tmp_path: Path) -> None:
    of = champions(uri_2)
    head = of.ledger.head()
    assert head is not None
    of.ledger.begin_mirroring(head)
    promoted(uri_2, "3", tmp_path)
    assert of.ledger.entries()[1].begun
    for alias, version in (("previous", "1"), ("champion", "2")):
        of.registry.move_alias(MODEL, alias, version)
        assert of.reconcile(look_only=True)[1] == "3"
    assert of.reconcile()[1] == "3"
    assert aliases(uri_2) == ("3", "2")
    assert not any(e.begun for e in of.ledger.entries())
    of.registry.move_alias(MODEL, "champion", "2")
    with pytest.raises(PromotionError, match="by hand"):
        of.reconcile()


def test_a_late_process_is_no_excuse_for_a_version_that_it_did_not_mean(uri_2: str, tmp_path: Path) -> None:
    of = champions(uri_2)
    head = of.ledger.head()
    assert head is not None
    of.ledger.begin_mirroring(head)
    promoted(uri_2, "3", tmp_path)
    of.registry.move_alias(MODEL, "champion", "4")
    with pytest.raises(PromotionError, match="names version 4"):
        of.reconcile()


def test_whoever_mirrors_late_moves_the_aliases_to_what_counts_now(uri: str, tmp_path: Path) -> None:
    stale = promoted(uri, "2", tmp_path)
    promoted(uri, "3", tmp_path)
    champions(uri).sync_aliases(stale)
    assert aliases(uri) == ("3", "2")
    assert not any(e.begun for e in champions(uri).ledger.entries())


# --- back


def test_back_to_the_version_before_is_an_entry_like_any_other(uri_3: str, tmp_path: Path) -> None:
    done = rollback(champions(uri_3), **CALM)
    assert (done.before, done.after) == ("3", "2")
    assert done.entry is not None
    assert (done.entry.action, done.entry.emergency, done.entry.record) == ("rollback", False, "sha256:record2")
    assert aliases(uri_3) == ("2", "3")
    assert rollback(champions(uri_3), "2", **CALM).entry is None


def test_who_decided_on_another_champion_has_to_decide_again(uri_3: str, tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="version 3 is champion now, not version 4"):
        rollback(champions(uri_3), "2", only_from="4", **CALM)
    assert aliases(uri_3) == ("3", "2")
    assert rollback(champions(uri_3), "2", only_from="3", **CALM).after == "2"


def test_back_to_a_version_that_was_never_gated_is_refused_but_for_an_emergency(uri_2: str, tmp_path: Path) -> None:
    for target in ("", "1", "4"):
        with pytest.raises(PromotionError, match="was never gated"):
            rollback(champions(uri_2), target, **CALM)
    assert aliases(uri_2) == ("2", "1")
    done = rollback(champions(uri_2), "1", emergency=True, **CALM)
    assert done.entry is not None
    assert (done.entry.emergency, done.entry.owner, done.entry.record) == (True, "team-a", "")
    # Whoever looks at the version, or at the ledger, in MLflow's own pages reads it there.
    registry = Registry(uri_2)
    assert registry.tags(MODEL, "1")["weighin.emergency"] == "team-a: it answers wrongly"
    newest = max(registry.entries(f"{MODEL}.ledger"), key=lambda e: int(e.version))
    assert newest.description.startswith("**EMERGENCY** rollback: version 2 to 1, by `")
    assert "reason: `it answers wrongly`" in newest.description
    assert aliases(uri_2) == ("1", "2")


def test_an_emergency_that_was_none_is_not_recorded_as_one(uri_3: str, tmp_path: Path) -> None:
    done = rollback(champions(uri_3), emergency=True, **CALM)
    assert done.entry is not None
    assert not done.entry.emergency


def test_back_to_files_that_have_changed_is_refused(uri_3: str, tmp_path: Path) -> None:
    (files(uri_3, 2) / "MLmodel").write_text("something else")
    with pytest.raises(PromotionError, match="has other files than when it was gated"):
        rollback(champions(uri_3), **CALM)


@pytest.mark.parametrize("missing", ["owner", "reason"])
def test_somebody_answers_for_a_rollback(missing: str, uri_2: str, tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="somebody who answers"):
        rollback(champions(uri_2), **{**CALM, missing: " "})


def test_a_dry_run_writes_nothing(uri_3: str, tmp_path: Path) -> None:
    assert rollback(champions(uri_3), dry_run=True, **CALM).after == "2"
    assert aliases(uri_3) == ("3", "2")
    assert len(champions(uri_3).ledger.entries()) == 3


# --- killed


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.exhaustive
def test_killed_at_any_call_to_the_database_the_next_command_finishes_or_backs_out(deed: str, tmp_path: Path) -> None:
    warmed_up()
    stock = Stock.of(empty_store(tmp_path), tmp_path)
    # Spread over all calls; benchmarks/promotion_races.py goes through every one.
    found = in_database(stock, deed, at_most=6)
    assert found.steps > 300
    assert found.wrong == []
    assert found.killed == found.recovered >= 5


# --- the command line


def test_history_and_rollback_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = promoted_twice()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", of.stock.uri)
    contract = tmp_path / "model_contract.yaml"
    contract.write_text((ROOT / "model_contract.yaml").read_text().replace("name: flight-delay", f"name: {of.name}"))
    place = ["--contract", str(contract)]
    assert main(["rollback", *place, "--owner", "team-a"]) == 1
    assert "Give --owner, --reason" in capsys.readouterr().err
    assert main(["rollback", *place, "--owner", "team-a", "--reason", "too slow"]) == 0
    assert "moved: version 3 -> version 2" in capsys.readouterr().out
    assert main(["rollback", *place, "--owner", "team-a", "--reason", "too slow"]) == 1
    assert "the last entry is a rollback from version 3 already" in capsys.readouterr().err
    assert main(["rollback", *place, "--owner", "[red]x", "--reason", "why\x1b[2J", "--emergency", "--to", "1"]) == 0
    assert "EMERGENCY" in capsys.readouterr().out
    assert main(["history", *place, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [e["action"] for e in listed] == ["adopt", "promote", "promote", "rollback", "rollback"]
    assert [e["emergency"] for e in listed] == [False] * 4 + [True]
    assert [bool(e["signed_by"]) for e in listed] == [False, True, True, False, False]
    assert [e["problems"] for e in listed] == [[]] * 5
    assert main(["history", *place]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert ENTRY not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"rollback \(EMERGENCY\): version 2 → 1, \d{4}-", shown)
    assert shown.splitlines()[-1].startswith("Champion now: version 1, since ")
    assert main(["history", *place, "--markdown"]) == 0
    shown = capsys.readouterr().out
    assert "Champion now: version 1" in shown
    assert "| 5 | rollback (EMERGENCY) | 2 → 1 |" in shown
    assert "\x1b" not in shown
    Registry(of.stock.uri).move_alias(of.name, "champion", "4")
    assert main(["history", *place]) == 1
    assert "by hand" in capsys.readouterr().err
    assert main(["history", *place, "--restore"]) == 0
    assert of.champions().reconcile()[1] == "1"


# --- checked against what is kept for each entry, and against what others kept


def test_history_with_keys_and_witnesses_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = promoted_twice()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", of.stock.uri)
    contract = tmp_path / "model_contract.yaml"
    contract.write_text((ROOT / "model_contract.yaml").read_text().replace("name: flight-delay", f"name: {of.name}"))
    ask = ["history", "--contract", str(contract), "--json"]
    trust = ["--trusted-key", str(of.stock.folder / "key.pub")]
    kept = [kept_elsewhere(of, 2, 1), kept_elsewhere(of, 3, 2)]
    unsigned = ["--witness", str(kept[1].with_name("record.json"))]
    witness = [word for path in kept for word in ("--witness", str(path))]
    assert main([*ask, *trust, *witness]) == 0
    assert "record.dsse.json: entry 3 is as it was signed" in capsys.readouterr().out
    assert main([*ask, *unsigned]) == 0
    assert main([*ask, *witness]) == 1
    assert "not signed by a key that is trusted" in capsys.readouterr().err
    make_key(tmp_path / "other")
    assert main([*ask, "--trusted-key", str(tmp_path / "other.pub")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0] == "weighin: entry 2: its signature does not hold: not signed by a key that is trusted"
    # Deleted, with all that said that it was there.
    rewrite(of.champions(), lambda entries: entries[:2])
    assert main([*ask, *trust]) == 0
    assert main([*ask, *trust, *witness]) == 1
    assert "carries the record sha256:" in capsys.readouterr().err
    assert main([*ask, *unsigned]) == 1


def test_what_was_written_again_is_told_entry_by_entry() -> None:
    of = promoted_twice()
    rewrite(of.champions(), lambda entries: [replace(e, artifact="sha256:" + "0" * 64) for e in entries])
    adopt, first, second = check_history(of.champions())
    assert adopt.problems == ()
    assert any("the candidate's files is sha256:" in p and "expected sha256:000" in p for p in first.problems)
    assert any("the champion's files" in p for p in second.problems)
    assert any("its signature does not hold: it is about another entry" in p for p in second.problems)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda e: [e[0], replace(e[2], before="2")], "says version 2 was champion before, and it was 1"),
        (lambda e: [*e, replace(e[0], before="3", after="4")], "an adoption only begins a ledger"),
        (
            lambda e: [*e, replace(e[0], action="rollback", before="3", after="4", evidence="")],
            "a rollback without a record that is no emergency",
        ),
        (
            lambda e: [*e, replace(e[0], action="rollback", before="3", after="4", record=e[1].record)],
            "no promotion before it carries its record for these files",
        ),
        (lambda e: [e[0], replace(e[1], record=e[2].record)], "the record is sha256:"),
        (lambda e: [e[0], replace(e[1], run_id=e[0].run_id)], "no record is kept for it"),
    ],
)
def test_an_entry_that_contradicts_the_rest_is_told(change: Any, sentence: str) -> None:
    of = promoted_twice()
    rewrite(of.champions(), change)
    problems = [p for c in check_history(of.champions()) for p in c.problems]
    assert any(sentence in p for p in problems), problems


def test_files_and_tags_that_were_changed_are_told() -> None:
    of = promoted_twice()
    entry = of.champions().ledger.entries()[1]
    (files_of(of.champions(), entry) / "approvals.json").write_text('[{"name":"risk"}]')
    of.champions().registry.tag(of.name, "2", {HEAD: "sha256:" + "0" * 64})
    (problems,) = [c.problems for c in check_history(of.champions()) if c.problems]
    assert problems[0].startswith(f"the tags {ENTRY} and {HEAD} of version 2 say otherwise")
    assert problems[1].startswith("the files that are kept for it are sha256:")


def test_the_tag_with_the_sum_of_the_last_entry_is_asked_by_every_command() -> None:
    of = promoted_twice()
    of.champions().registry.tag(of.name, "3", {HEAD: "sha256:" + "0" * 64})
    with pytest.raises(RegistryError, match="one of them was rewritten"):
        of.champions().reconcile(look_only=True)


def test_the_tags_of_a_copy_from_another_model_say_nothing_here(tmp_path: Path) -> None:
    of = promoted_twice()
    registry, other = of.champions().registry, f"{of.name}-copy"
    for version in ("2", "3"):
        registry._client.copy_model_version(f"models:/{of.name}/{version}", other)
    assert ENTRY in registry.tags(other, "1")
    registry.move_alias(other, "champion", "1")
    here = ChampionRegistry(registry, other, "champion", "previous")
    assert here.reconcile() == (None, "1")
    head = here.adopt("1", of.version(2).digest)
    entry = entered(here, "promote", head, "1", "2", of.version(3).digest, tmp_path, record="sha256:r")
    # Killed here, the next command finishes.
    assert here.reconcile() == (entry, "2")
    assert registry.tags(other, "2")[ENTRY] == "2"
