"""The alias moves only to what was judged, and only from what it was judged against: on a real MLflow store."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from support.empty_store import empty_store, put_back
from support.evidence_files import DRILLED, ROOT, RUN, SOUND, Case, interval
from support.private_sigstore import OWN, WORKFLOW, Sigstore, write
from weighin.canonical import file_digest, write_json
from weighin.cli import main
from weighin.cli.steps import PREDICATE
from weighin.contract import read_contract
from weighin.contract.models import Waiver
from weighin.contract.release import Approver, Promotion
from weighin.errors import ContractError, PromotionError, RegistryError, WeighinError
from weighin.model.subject import ModelVersion, Subject
from weighin.record.attestation import ATTESTED, GITHUB, RECORD, Attestation, Identity, predicate
from weighin.record.decision import decision_record
from weighin.record.history import check_history
from weighin.record.provenance import Provenance
from weighin.record.signature import KEY, STATEMENT, Witness, make_key, signer, trusted_key
from weighin.record.suite import Binding
from weighin.record.verify import verify
from weighin.registry.champion import CLAIM, ENTRY, HEAD, ChampionRegistry
from weighin.registry.mlflow import Registry
from weighin.release.approval import approve
from weighin.release.promote import promote, since_anchor
from weighin.release.rollback import rollback
from weighin.resolve.models import _champion
from weighin.runner.artifact import manifest_digest

NAME = "flight-delay"
CODE = """\
import mlflow
from mlflow.pyfunc import PythonModel


class Says(PythonModel):
    def predict(self, context, model_input, params=None):
        return [{value}] * len(model_input)


mlflow.models.set_model(Says())
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with three versions; `champion` is the first, `challenger` the second."""
    import mlflow

    folder = tmp_path_factory.mktemp("registry")
    mlflow.set_tracking_uri(empty_store(folder))
    mlflow.create_experiment(NAME, artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment(NAME)
    for value in (0.1, 0.2, 0.3):
        code = folder / "says.py"
        code.write_text(CODE.format(value=value))
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model", python_model=str(code), registered_model_name=NAME, pip_requirements=[]
            )
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(NAME, "champion", "1")
    client.set_registered_model_alias(NAME, "challenger", "2")
    shutil.copyfile(folder / "mlflow.db", folder / "template.db")
    return folder


@pytest.fixture
def registry(template: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The same store for every test (artifact paths are absolute), as it was before there was a ledger."""
    put_back(template / "template.db", template / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{template}/mlflow.db")
    return Registry()


@pytest.fixture
def case(registry: Registry, tmp_path: Path) -> Case:
    """Green evidence about version 2 against version 1 of that registry, with its record."""
    case = Case(tmp_path / "reports")
    candidate = registry.resolve(f"models:/{NAME}@challenger", tmp_path / "candidate")
    champion = registry.resolve(f"models:/{NAME}@champion", tmp_path / "champion")
    about(case, Subject(candidate, champion, case.file.digest, {}, True, models=SOUND))
    return recorded(case)


def about(case: Case, subject: Subject) -> None:
    case.subject = subject
    case.binding = Binding(case.file.digest, subject.digest, "", "1")


def recorded(case: Case) -> Case:
    case.write()
    write_json(case.reports / "record.json", case.record())
    return case


def go(case: Case, registry: Registry, **more):
    return promote(case.file, case.subject, case.decision(), case.reports, registry, **more)


def aliases(registry: Registry) -> tuple[str | None, str | None]:
    return registry.aliased(NAME, "champion"), registry.aliased(NAME, "previous")


def test_what_passed_becomes_champion_and_says_from_where(
    case: Case, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    monkeypatch.setenv("WEIGHIN_RUN_URL", "https://example.org/runs/7")
    done = go(case, registry)
    assert (done.before, done.after, done.already) == ("1", "2", False)
    assert aliases(registry) == ("2", "1")
    left = json.loads((case.reports / "promotion.json").read_text())
    assert (left["signed"], left["record"]) == (False, done.record)
    import mlflow

    tags = mlflow.MlflowClient(tracking_uri=registry.uri).get_model_version(NAME, "2").tags
    assert tags["weighin.record"] == done.record
    assert tags["weighin.signed"] == "no"
    assert tags["validation_status"] == "passed"
    assert (tags["weighin.contract"], tags["weighin.replaces"]) == (case.file.digest, "1")
    assert (tags["weighin.by"], tags["weighin.run"]) == ("octocat", "https://example.org/runs/7")
    assert tags["weighin.emergency"] == "no"


def test_whoever_promotes_signs_and_the_key_is_nowhere(case: Case, registry: Registry, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    by = signer({KEY: str(tmp_path / "key")})
    assert by is not None
    done = go(case, registry, by=by)
    assert done.signed_by == by.key_id
    found = verify(case.reports / "record.dsse.json", [trusted_key(tmp_path / "key.pub")])
    assert (found.digest, found.signed_by) == (done.record, by.key_id)
    import mlflow

    version = mlflow.MlflowClient(tracking_uri=registry.uri).get_model_version(NAME, "2")
    assert version.tags["weighin.signed"] == by.key_id
    kept = registry.fetch(version.run_id, "weighin/record.dsse.json", tmp_path / "kept")
    assert kept.read_bytes() == (case.reports / "record.dsse.json").read_bytes()
    secret = (tmp_path / "key").read_text().splitlines()[1].encode()
    (tmp_path / "key").unlink()
    assert [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_bytes()] == []


@pytest.mark.parametrize("change", ["verdict", "measurement", "bytes", "gone"])
def test_a_record_that_does_not_hold_moves_nothing(change: str, case: Case, registry: Registry) -> None:
    path = case.reports / "record.json"
    record = json.loads(path.read_bytes())
    match change:
        case "verdict":
            record["verdict"]["messages"] = ["all is well"]
            write_json(path, record)
        case "measurement":
            # Consistent in itself, but not what the suite left.
            outcome = next(o for s in record["suites"] for o in s["outcomes"] if o["evidence"]["kind"] == "sample")
            outcome["evidence"]["n"] += 1
            write_json(path, record)
        case "bytes":
            path.write_text(json.dumps(record))
        case "gone":
            path.unlink()
    with pytest.raises(WeighinError):
        go(case, registry)
    assert aliases(registry) == ("1", None)
    assert not (case.reports / "promotion.json").exists()


def test_promoting_again_changes_nothing(case: Case, registry: Registry) -> None:
    go(case, registry)
    assert go(case, registry).already
    assert aliases(registry) == ("2", "1")


def test_a_record_that_knows_of_a_drill_is_promoted_with_it(case: Case, registry: Registry) -> None:
    case.drill = DRILLED
    assert go(recorded(case), registry).after == "2"
    assert json.loads((case.reports / "record.json").read_text())["drill"] == DRILLED


def test_a_dry_run_changes_nothing(case: Case, registry: Registry) -> None:
    assert go(case, registry, dry_run=True).after == "2"
    assert aliases(registry) == ("1", None)
    assert not (case.reports / "promotion.json").exists()


def refused(case: Case, registry: Registry, sentence: str, stands: str = "1") -> None:
    with pytest.raises(PromotionError, match=sentence):
        go(case, registry)
    assert aliases(registry) == (stands, None)
    assert not (case.reports / "promotion.json").exists()


def test_a_verdict_that_is_no_pass_moves_nothing(case: Case, registry: Registry) -> None:
    check = case.check("performance/roc_auc")
    case.evidence[check.id] = interval(check, 0.5, 0.01)
    case.write()
    refused(case, registry, "the verdict is failed")


def test_a_missing_suite_moves_nothing(case: Case, registry: Registry) -> None:
    (case.reports / "load/outcomes.json").unlink()
    refused(case, registry, "the verdict is not_evaluated")


def test_files_that_are_not_those_that_were_judged_move_nothing(case: Case, registry: Registry) -> None:
    about(case, replace(case.subject, candidate=replace(case.subject.candidate, digest="sha256:" + "0" * 64)))
    recorded(case)
    refused(case, registry, "its files are not those that were judged")


def test_an_alias_that_has_moved_meanwhile_is_left_alone(case: Case, registry: Registry) -> None:
    registry.move_alias(NAME, "champion", "3")
    refused(case, registry, "`champion` is version 3 now, the candidate was compared with version 1", "3")


def test_a_profile_that_is_missing_moves_nothing(case: Case, registry: Registry, tmp_path: Path) -> None:
    case.subject.write(tmp_path / "work/subject.json")
    with pytest.raises(WeighinError, match=r"profiles/reference\.json: the file is missing"):
        go(case, registry, work=tmp_path / "work")
    assert aliases(registry) == ("1", None)
    assert ChampionRegistry(registry, NAME, "champion", "previous").ledger.entries() == []


def test_a_candidate_that_is_no_registered_version_moves_nothing(case: Case, registry: Registry) -> None:
    candidate = ModelVersion(NAME, "", "", case.subject.candidate.digest, "some/folder")
    about(case, replace(case.subject, candidate=candidate))
    recorded(case)
    refused(case, registry, "no registered version")


@pytest.mark.parametrize("part", ["subject", "contract"])
def test_a_record_about_something_else_moves_nothing(part: str, case: Case, registry: Registry) -> None:
    record = case.record()
    digest = "sha256:" + "e" * 64
    other = {"subject": digest, "contract": {**record["contract"], "digest": digest}}
    write_json(case.reports / "record.json", {**record, part: other[part]})
    refused(case, registry, "about something else")


def test_a_first_release_sets_the_alias_where_there_is_none(case: Case, registry: Registry) -> None:
    import mlflow

    mlflow.MlflowClient(tracking_uri=registry.uri).delete_registered_model_alias(NAME, "champion")
    about(case, replace(case.subject, champion=None))
    recorded(case)
    assert go(case, registry).before == ""
    assert aliases(registry) == ("2", None)


def test_an_unknown_version_and_a_bad_address_are_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="99"):
        registry.resolve(f"models:/{NAME}/99", tmp_path / "x")
    with pytest.raises(RegistryError, match="no alias `nobody`"):
        registry.resolve(f"models:/{NAME}@nobody", tmp_path / "x")
    with pytest.raises(ContractError):
        registry.resolve("models:/", tmp_path / "x")
    assert registry.aliased("no-such-model", "champion") is None


# --- once for a record


CALM = {"owner": "on-call", "reason": "it answers wrongly"}


def champions_of(registry: Registry) -> ChampionRegistry:
    return ChampionRegistry(registry, NAME, "champion", "previous")


def test_a_record_that_was_rolled_back_is_spent_and_the_rollback_named(case: Case, registry: Registry) -> None:
    go(case, registry)
    rollback(champions_of(registry), "1", emergency=True, **CALM)
    said = (
        r"this record is spent: it made version 2 champion by entry 2, which was ended by entry 3, rollback to version "
        r"1 by .+: it answers wrongly.*In an emergency: weighin rollback --emergency --to 2"
    )
    for dry_run in (True, False):
        with pytest.raises(PromotionError, match=said):
            go(case, registry, dry_run=dry_run)
    assert aliases(registry) == ("1", "2")
    assert [e.action for e in champions_of(registry).ledger.entries()] == ["adopt", "promote", "rollback"]
    # The way out: somebody answers for it.
    back = rollback(champions_of(registry), "2", emergency=True, **CALM)
    assert (back.after, aliases(registry)) == ("2", ("2", "1"))
    # And from then on it stands, by that entry.
    assert go(case, registry).already


def test_new_evidence_about_the_same_version_may_move_the_alias_again(case: Case, registry: Registry) -> None:
    go(case, registry)
    rollback(champions_of(registry), "1", emergency=True, **CALM)
    # The same evidence under another run is no new evidence.
    record = case.record()
    record["run"] = {**record["run"], "url": "https://example.org/runs/2"}
    write_json(case.reports / "record.json", record)
    with pytest.raises(PromotionError, match="this record is spent"):
        go(case, registry)
    check = case.check("performance/roc_auc")
    case.evidence[check.id] = interval(check, check.limit.value + 0.03, 0.01)
    recorded(case)
    done = go(case, registry)
    assert (done.already, done.entry, aliases(registry)) == (False, 4, ("2", "1"))


def test_the_evidence_that_stands_under_another_run_moves_nothing(case: Case, registry: Registry) -> None:
    go(case, registry)
    record = case.record()
    record["run"] = {**record["run"], "url": "https://example.org/runs/2"}
    write_json(case.reports / "record.json", record)
    with pytest.raises(PromotionError, match="its evidence is that of another record"):
        go(case, registry)
    assert len(champions_of(registry).ledger.entries()) == 2


def test_a_record_that_was_replaced_is_spent(case: Case, registry: Registry, tmp_path: Path) -> None:
    go(case, registry)
    later = Case(tmp_path / "later")
    models = [registry.resolve(f"models:/{NAME}/{v}", tmp_path / f"later-{v}") for v in ("3", "2")]
    about(later, Subject(models[0], models[1], later.file.digest, {}, True, models=SOUND))
    go(recorded(later), registry)
    with pytest.raises(PromotionError, match=r"ended by entry 3, promote to version 3 by .+"):
        go(case, registry)
    assert aliases(registry) == ("3", "2")


def test_the_candidate_as_champion_by_another_record_is_no_success(case: Case, registry: Registry) -> None:
    go(case, registry)
    check = case.check("performance/roc_auc")
    case.evidence[check.id] = interval(check, check.limit.value + 0.03, 0.01)
    recorded(case)
    with pytest.raises(
        PromotionError, match=r"version 2 is champion already, by entry 2, .* does not carry this record"
    ):
        go(case, registry)


# --- where there is no ledger yet


@pytest.mark.parametrize("first", [False, True])
def test_a_champion_that_was_made_by_hand_is_no_success(first: bool, case: Case, registry: Registry) -> None:
    if first:
        about(case, replace(case.subject, champion=None))
        recorded(case)
    registry.move_alias(NAME, "champion", "2")
    for dry_run in (True, False):
        with pytest.raises(PromotionError, match="names the candidate already, and the ledger has no entry") as refused:
            go(case, registry, dry_run=dry_run)
    assert ("Delete it" if first else "Let it name version 1 again") in str(refused.value)
    assert champions_of(registry).ledger.entries() == []
    assert "weighin.record" not in registry.tags(NAME, "2")


@pytest.mark.parametrize("tag", [ENTRY, HEAD, CLAIM + "0" * 64])
def test_a_ledger_that_is_gone_is_no_first_release(tag: str, case: Case, registry: Registry) -> None:
    registry.tag(NAME, "3", {tag: "1"})
    with pytest.raises(RegistryError, match=r"version 3 carries the tag|version became champion by entry 1"):
        go(case, registry)
    assert aliases(registry) == ("1", None)


@pytest.mark.parametrize("alias", ["Champion", "CHAMPION", "champ-ion", "chmapion", "champio", "champions"])
def test_an_alias_that_only_looks_otherwise_is_no_first_release(alias: str, case: Case, registry: Registry) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    client.delete_registered_model_alias(NAME, "champion")
    client.set_registered_model_alias(NAME, alias, "1")
    about(case, replace(case.subject, champion=None))
    recorded(case)
    with pytest.raises(RegistryError, match=rf"did you mean `{alias}`\? The aliases are .*`challenger` \(version 2\)"):
        go(case, registry)
    assert champions_of(registry).ledger.entries() == []


@pytest.mark.parametrize("allowed", ["allow", "refuse"])
def test_resolving_asks_whether_an_alias_was_meant_whatever_the_contract_allows(
    allowed: str, case: Case, registry: Registry, tmp_path: Path
) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    client.delete_registered_model_alias(NAME, "champion")
    contract = tmp_path / "model_contract.yaml"
    text = case.file.path.read_text()
    contract.write_text(text.replace("  performance:\n", f"  performance:\n    first_release: {allowed}\n", 1))
    file = read_contract(contract)
    if allowed == "allow":
        assert _champion(file, None, tmp_path / "x") is None
    else:
        with pytest.raises(ContractError, match=r"write `first_release: allow` under `gates\.performance`"):
            _champion(file, None, tmp_path / "x")
    client.set_registered_model_alias(NAME, "Champion", "1")
    with pytest.raises(RegistryError, match="did you mean `Champion`"):
        _champion(file, None, tmp_path / "x")


def test_the_alias_of_the_version_before_is_no_first_release(case: Case, registry: Registry) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    client.delete_registered_model_alias(NAME, "champion")
    client.set_registered_model_alias(NAME, "previous", "1")
    with pytest.raises(RegistryError, match="no alias `champion`; `previous` names an earlier champion"):
        champions_of(registry).demand_first_release()


@pytest.mark.parametrize("stage", ["Staging", "Production", "Archived"])
def test_a_version_in_a_stage_is_no_first_release(stage: str, case: Case, registry: Registry) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    client.delete_registered_model_alias(NAME, "champion")
    about(case, replace(case.subject, champion=None))
    recorded(case)
    client.transition_model_version_stage(NAME, "3", stage)
    try:
        with pytest.raises(RegistryError, match=rf"stages say that versions were released: version 3 \({stage}\)"):
            go(case, registry)
        assert champions_of(registry).ledger.entries() == []
        assert aliases(registry) == (None, None)
    finally:
        client.transition_model_version_stage(NAME, "3", "None")
    # Another alias, on another version, is nobody's champion.
    client.set_registered_model_alias(NAME, "baseline", "3")
    assert go(case, registry).entry == 1
    client.delete_registered_model_alias(NAME, "baseline")


def test_a_deleted_alias_is_no_first_release(case: Case, registry: Registry) -> None:
    import mlflow

    go(case, registry)
    mlflow.MlflowClient(tracking_uri=registry.uri).delete_registered_model_alias(NAME, "champion")
    with pytest.raises(RegistryError, match=r"no alias `champion`, and the ledger says version 2 \(entry 2"):
        champions_of(registry).demand_first_release()


def test_a_first_release_that_was_killed_at_its_claim_can_be_run_again(case: Case, registry: Registry) -> None:
    import mlflow

    mlflow.MlflowClient(tracking_uri=registry.uri).delete_registered_model_alias(NAME, "champion")
    about(case, replace(case.subject, champion=None))
    recorded(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weighin.registry.ledger.Ledger.append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go(case, registry)
    assert any(tag.startswith(CLAIM) for tag in registry.tags(NAME, "2"))
    assert go(case, registry).entry == 1


# --- the ledger's head, in what is signed and on the version


def test_what_is_signed_and_the_version_bear_witness_to_the_ledger(
    case: Case, registry: Registry, tmp_path: Path
) -> None:
    make_key(tmp_path / "key")
    done = go(case, registry, by=signer({KEY: str(tmp_path / "key")}))
    adopt, own = champions_of(registry).ledger.entries()
    assert (done.entry, done.ledger_head) == (2, own.sum)
    found = verify(case.reports / "record.dsse.json", [trusted_key(tmp_path / "key.pub")])
    assert found.witness == Witness(f"{NAME}.ledger", adopt.sum, own.content_hash)
    assert found.digest == verify(case.reports / "record.json").digest
    assert registry.tags(NAME, "2")[HEAD] == own.sum
    kept = champions_of(registry).ledger.kept(own, "record.dsse.json", tmp_path / "kept")
    # Promoted again, it is signed again, to the same bytes.
    go(case, registry, by=signer({KEY: str(tmp_path / "key")}))
    assert (case.reports / "record.dsse.json").read_bytes() == kept.read_bytes()


# --- what is demanded beyond a pass


def demanding(case: Case, **promotion: Any) -> Case:
    contract = case.file.contract.model_copy(update={"promotion": Promotion(**promotion)})
    case.file = replace(case.file, contract=contract)
    return case


def test_a_policy_that_denies_moves_nothing_and_nothing_is_signed(
    case: Case, registry: Registry, tmp_path: Path
) -> None:
    demanding(case, policy=str(ROOT / "policy/release.rego"))
    make_key(tmp_path / "key")
    with pytest.raises(PromotionError, match=r"the policy denies it: 0 approvals by others than .*, 2 are required"):
        go(case, registry, by=signer({KEY: str(tmp_path / "key")}))
    assert aliases(registry) == ("1", None)
    assert not (case.reports / "record.dsse.json").exists()
    with pytest.raises(PromotionError, match="the policy denies it"):
        go(case, registry, dry_run=True)


def test_what_a_policy_allowed_is_kept_with_the_entry(case: Case, registry: Registry, tmp_path: Path) -> None:
    named = []
    for name in ("risk", "owner"):
        make_key(tmp_path / name)
        named.append(Approver(name=name, key=str(tmp_path / f"{name}.pub")))
        by = signer({KEY: str(tmp_path / name)})
        assert by is not None
        approve(case.reports / "record.json", by, "read")
    demanding(case, policy=str(ROOT / "policy/release.rego"), approvers=named)
    done = go(case, registry, by=signer({KEY: str(tmp_path / "risk")}))
    assert aliases(registry) == ("2", "1")
    ledger = ChampionRegistry(registry, NAME, "champion", "previous").ledger
    head = ledger.head()
    assert head is not None
    import mlflow

    kept = Path(mlflow.artifacts.download_artifacts(run_id=head.run_id, dst_path=str(tmp_path / "kept")))
    names = sorted(p.relative_to(kept).as_posix() for p in kept.rglob("*.*") if p.is_file())
    assert [n for n in names if "/" not in n] == [
        "approvals.json",
        "policy-promoter.txt",
        "policy.rego",
        "record.dsse.json",
        "record.json",
        "record.pub",
    ]
    assert sum(n.startswith("approvals/") for n in names) == 2
    assert manifest_digest(kept) == head.evidence
    assert verify(kept / "record.json", expected=done.record).digest == head.record


def test_an_image_whose_provenance_was_not_verified_moves_nothing(case: Case, registry: Registry) -> None:
    demanding(case, image_built_by=WORKFLOW)
    refused(case, registry, r"the provenance of the image that judged \(none\) was not verified")


@pytest.mark.parametrize("workflow", [WORKFLOW, WORKFLOW.replace("release", "feature")])
def test_only_an_image_of_the_builder_that_the_contract_names_may_judge(
    workflow: str, case: Case, registry: Registry, tmp_path: Path
) -> None:
    image = "sha256:" + "1" * 64
    built = Provenance(image, "sha256:" + "d" * 64, GITHUB, workflow, OWN, "sha256:" + "b" * 64)
    built.write(tmp_path / "work")
    case.binding = Binding(case.file.digest, case.subject.digest, image, "1")
    case.write()
    said = decision_record(case.decision(), case.file, case.subject, case.binding, RUN, asdict(built))
    write_json(case.reports / "record.json", said)
    demanding(case, image_built_by=WORKFLOW)
    if workflow == WORKFLOW:
        assert go(case, registry, image=image, work=tmp_path / "work", dry_run=True).after == "2"
    else:
        with pytest.raises(PromotionError, match=r"is that of .*feature.*, and .* must have built it"):
            go(case, registry, image=image, work=tmp_path / "work")
        assert aliases(registry) == ("1", None)


def test_another_models_record_moves_nothing(case: Case, registry: Registry, tmp_path: Path) -> None:
    other = Case(tmp_path / "other").write()
    candidate = replace(other.subject.candidate, name="another-model")
    about(other, replace(other.subject, candidate=candidate))
    write_json(case.reports / "record.json", recorded(other).record())
    refused(case, registry, "the record is about something else than the evidence")


def test_a_version_of_another_model_moves_nothing(case: Case, registry: Registry) -> None:
    about(case, replace(case.subject, candidate=replace(case.subject.candidate, name="another-model")))
    recorded(case)
    refused(case, registry, "the candidate is no version of `flight-delay`")


def test_a_record_of_an_earlier_attempt_moves_nothing(case: Case, registry: Registry) -> None:
    case.binding = replace(case.binding, attempt="2")
    refused(case, registry, r"its evidence is of another attempt \(1, expected 2\)")


def test_a_waiver_that_expired_since_moves_nothing(case: Case, registry: Registry) -> None:
    check = case.check("performance/roc_auc")
    waiver = Waiver(check=check.id, limit=0.5, owner="team-a", reason="for now", expires="2013-11-01")
    contract = case.file.contract.model_copy(update={"waivers": (waiver,)})
    case.file = replace(case.file, contract=contract)
    refused(case, registry, r"performance/roc_auc: not_evaluated: the waiver .* expired")


def test_the_ledger_says_what_has_changed_since_the_anchor() -> None:
    interval = {"estimate": -0.00125, "low": -0.004, "high": "Infinity"}
    outcomes = [
        {"check": "performance/roc_auc/vs-anchor", "evidence": interval},
        {"check": "performance/roc_auc/vs-champion", "evidence": interval},
        {"check": "performance/brier/vs-anchor", "evidence": {"unmeasured": "no anchor"}},
    ]
    record = {"suites": [{"outcomes": outcomes}]}
    assert since_anchor(record) == "performance/roc_auc/vs-anchor -0.00125 [-0.004, inf]"


# --- what the platform attested


def attested(case: Case, folder: Path, **of: str) -> Attestation:
    sigstore, record = Sigstore(), case.reports / "record.json"
    about = [{"name": "record.json", "digest": {"sha256": file_digest(record).removeprefix("sha256:")}}]
    said = {"_type": STATEMENT, "subject": about, "predicateType": RECORD}
    said["predicate"] = predicate(json.loads(record.read_text()))
    bundle = write(folder / "bundle.json", sigstore.attest(said, **of))
    return Attestation(bundle, Identity.of(GITHUB, WORKFLOW), write(folder / "root.json", sigstore.root()))


def test_an_attestation_stays_with_the_record_the_entry_and_the_run(
    case: Case, registry: Registry, tmp_path: Path
) -> None:
    attestation = attested(case, tmp_path)
    done = go(case, registry, attestation=attestation)
    assert done.attested_by == WORKFLOW
    bundle = attestation.bundle.read_bytes()
    assert (case.reports / ATTESTED).read_bytes() == bundle
    kept = replace(attestation, bundle=case.reports / ATTESTED)
    assert verify(case.reports / "record.json", attestation=kept).attested_by == WORKFLOW
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    assert client.get_model_version(NAME, "2").tags["weighin.attested"] == WORKFLOW
    run = client.get_model_version(NAME, "2").run_id
    found = mlflow.artifacts.download_artifacts(
        run_id=run, artifact_path=f"weighin/{ATTESTED}", tracking_uri=registry.uri, dst_path=str(tmp_path / "run")
    )
    assert Path(found).read_bytes() == bundle
    entries = client.search_model_versions(f"name = '{NAME}.ledger'")
    newest = max(entries, key=lambda e: int(e.version))
    found = mlflow.artifacts.download_artifacts(
        artifact_uri=newest.source, tracking_uri=registry.uri, dst_path=str(tmp_path / "entry")
    )
    assert (Path(found) / ATTESTED).read_bytes() == bundle
    # History asks it again, for the identity that is named.
    of = champions_of(registry)
    assert [c.problems for c in check_history(of, attestation=attestation)] == [(), ()]
    other = replace(attestation, by=Identity.of(GITHUB, WORKFLOW.replace("release", "feature")))
    assert "attestation does not hold" in check_history(of, attestation=other)[1].problems[0]


@pytest.mark.parametrize("broken", ["repository", "workflow", "record", "bundle"])
def test_an_attestation_that_does_not_hold_moves_nothing(
    broken: str, case: Case, registry: Registry, tmp_path: Path
) -> None:
    other = {"repository": "https://github.com/example/another", "workflow": WORKFLOW.replace("release", "feature")}
    attestation = attested(case, tmp_path, **({broken: other[broken]} if broken in other else {}))
    if broken == "record":
        record = json.loads((case.reports / "record.json").read_text())
        write_json(case.reports / "record.json", record | {"risk": "none"})
    if broken == "bundle":
        attestation.bundle.unlink()
    with pytest.raises(WeighinError):
        go(case, registry, attestation=attestation)
    assert aliases(registry) == ("1", None)


def test_a_bundle_that_nobody_asked_about_is_not_kept_as_evidence(
    case: Case, registry: Registry, tmp_path: Path
) -> None:
    (case.reports / ATTESTED).write_text("{}")
    done = go(case, registry)
    assert done.attested_by == ""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=registry.uri)
    assert client.get_model_version(NAME, "2").tags["weighin.attested"] == "no"
    newest = max(client.search_model_versions(f"name = '{NAME}.ledger'"), key=lambda e: int(e.version))
    found = mlflow.artifacts.download_artifacts(
        artifact_uri=newest.source, tracking_uri=registry.uri, dst_path=str(tmp_path / "entry")
    )
    assert not (Path(found) / ATTESTED).exists()


def test_a_record_of_another_image_or_provenance_moves_nothing(case: Case, registry: Registry, tmp_path: Path) -> None:
    image = "sha256:" + "1" * 64
    with pytest.raises(PromotionError, match="another image than the evidence"):
        go(case, registry, image=image)
    built = Provenance(image, "sha256:" + "d" * 64, GITHUB, WORKFLOW, OWN, "sha256:" + "b" * 64)
    case.binding = Binding(case.file.digest, case.subject.digest, image, "1")
    case.write()
    said = decision_record(case.decision(), case.file, case.subject, case.binding, RUN, asdict(built))
    write_json(case.reports / "record.json", said)
    with pytest.raises(PromotionError, match="another provenance"):
        go(case, registry, image=image, work=tmp_path / "work")
    assert aliases(registry) == ("1", None)
    built.write(tmp_path / "work")
    assert go(case, registry, image=image, work=tmp_path / "work", dry_run=True).after == "2"


def test_what_is_to_be_attested_is_written_only_of_what_passed(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case.subject.write(tmp_path / "work/subject.json")
    options = ["--contract", str(case.file.path), "--work", str(tmp_path / "work")]
    assert main(["step", "predicate", str(case.reports), *options]) == 0
    record = json.loads((case.reports / "record.json").read_text())
    assert json.loads((case.reports / PREDICATE).read_text()) == predicate(record)
    assert file_digest(case.reports / "record.json") in capsys.readouterr().out
    (case.reports / PREDICATE).unlink()
    auc = case.check("performance/roc_auc")
    case.evidence[auc.id] = interval(auc, auc.limit.value - 0.1, 0.01)
    recorded(case)
    assert main(["step", "predicate", str(case.reports), *options]) == 1
    assert not (case.reports / PREDICATE).exists()
