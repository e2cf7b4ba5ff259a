"""From a registry to the next: the receiving side believes nothing that it cannot check."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support.evidence_files import SOUND, Case
from support.registry_versions import NAME, SAYS, bring_back, keep, make
from weighin.canonical import write_json
from weighin.cli import main
from weighin.contract.models import Waiver
from weighin.contract.release import Promotion
from weighin.errors import PromotionError, RecordRefused
from weighin.model.subject import Subject
from weighin.record.signature import KEY, make_key, signer, trusted_key
from weighin.record.suite import Binding
from weighin.registry.champion import ChampionRegistry
from weighin.registry.mlflow import Registry
from weighin.release.import_version import Imported, import_version
from weighin.release.promote import promote

PROD = "flight-delay-prod"
BOTH = [SAYS.format(value=value) for value in (0.1, 0.2)]


class Chain:
    """A development registry in which version 2 was promoted over version 1 with a signed record, and a place to go."""

    def __init__(self, folder: Path) -> None:
        (folder / "dev").mkdir()
        self.folder, self.uri = folder, make(folder / "dev", *BOTH)
        self.source = Registry(self.uri)
        self.case = Case(folder / "reports")
        models = [self.source.resolve(f"models:/{NAME}/{v}", folder / f"dev-{v}") for v in (1, 2)]
        self.case.subject = Subject(models[1], models[0], self.case.file.digest, {}, False, models=SOUND)
        self.case.binding = Binding(self.case.file.digest, self.case.subject.digest, "", "1")
        write_json(self.case.reports / "record.json", self.case.write().record())
        make_key(folder / "key")
        by = signer({KEY: str(folder / "key")})
        promote(self.case.file, self.case.subject, self.case.decision(), self.case.reports, self.source, by=by)
        # There: another registered model of the same registry, whose champion is a copy of the first version.
        client = mlflow.MlflowClient(tracking_uri=self.uri)
        client.create_registered_model(PROD)
        client.copy_model_version(f"models:/{NAME}/1", PROD)
        client.set_registered_model_alias(PROD, "champion", "1")
        contract = self.case.file.contract
        model = contract.model.model_copy(update={"name": PROD})
        self.file = replace(self.case.file, contract=contract.model_copy(update={"model": model}))
        self.champions = ChampionRegistry(self.source, PROD, "champion", "previous")

    @property
    def trusted(self) -> list[Ed25519PublicKey]:
        return [trusted_key(self.folder / "key.pub")]

    def go(self, **more: object) -> Imported:
        given = {"address": f"models:/{NAME}/2", "trusted": self.trusted, **more}
        return import_version(self.file, self.champions, self.source, **given)  # type: ignore[arg-type]

    def stands(self) -> str | None:
        return self.champions.registry.aliased(PROD, "champion")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    found = Chain(tmp_path_factory.mktemp("chain"))
    keep(found.folder / "dev", "kept")
    return found


@pytest.fixture
def chain(made: Chain, monkeypatch: pytest.MonkeyPatch) -> Chain:
    bring_back(made.folder / "dev", "kept")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return copy(made)


def test_a_version_travels_to_another_registered_model_with_digest_and_record(chain: Chain) -> None:
    dry = chain.go(dry_run=True)
    assert (dry.entry, chain.stands()) == (None, "1")
    done = chain.go()
    assert (done.before, done.version, chain.stands()) == ("1", "2", "2")
    entries = chain.champions.ledger.entries()
    assert [(e.action, e.after) for e in entries] == [("adopt", "1"), ("promote", "2")]
    assert entries[-1].reason == f"imported from {NAME} version 2"
    assert entries[-1].artifact == chain.case.subject.candidate.digest
    assert entries[-1].record == done.record
    kept = chain.champions.ledger.kept(entries[-1], "record.dsse.json", chain.folder)
    assert kept.read_bytes() == (chain.case.reports / "record.dsse.json").read_bytes()
    tags = mlflow.MlflowClient(tracking_uri=chain.uri).get_model_version(PROD, "2").tags
    assert (tags["weighin.record"], tags["validation_status"]) == (done.record, "passed")
    # Again: nothing more is copied or written.
    assert chain.go().version == "2"
    assert len(chain.champions.ledger.entries()) == 2


def test_a_version_travels_to_another_registry(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    uri = make(tmp_path / "prod", BOTH[0])
    registry = Registry(uri)
    # The champion there must have the files that the candidate was compared with: copied, as it would have been.
    version = registry.add_version(NAME, "", chain.folder / "dev-1", chain.source)
    registry.move_alias(NAME, "champion", version)
    chain.file, chain.champions = chain.case.file, ChampionRegistry(registry, NAME, "champion", "previous")
    done = chain.go()
    assert (done.before, done.version) == (version, "3")
    assert registry.digest(NAME, "3", tmp_path / "x") == chain.case.subject.candidate.digest
    assert registry.aliased(NAME, "champion") == "3"
    assert chain.go().version == "3"
    assert len(registry.entries(NAME)) == 3


def test_who_signed_must_be_trusted(chain: Chain, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    with pytest.raises(RecordRefused, match="not signed by a key that is trusted"):
        chain.go(trusted=[trusted_key(tmp_path / "other.pub")])
    with pytest.raises(PromotionError, match="nobody is trusted"):
        chain.go(trusted=[])
    assert chain.stands() == "1"


def test_what_was_not_promoted_there_is_refused(chain: Chain) -> None:
    with pytest.raises(PromotionError, match="no entry of the ledger there has a record for it"):
        chain.go(address=f"models:/{NAME}/1")


def test_files_that_changed_there_are_refused(chain: Chain) -> None:
    for path in (chain.folder / "dev/artifacts").rglob("says.py"):
        path.write_text(SAYS.format(value=0.9))
    with pytest.raises(PromotionError, match=r"its files are sha256:\w+, and the ledger there says sha256:"):
        chain.go()
    assert chain.stands() == "1"


def test_another_champion_here_than_the_one_it_was_compared_with_is_refused(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    uri = make(tmp_path / "prod", SAYS.format(value=0.7))
    chain.file, chain.champions = chain.case.file, ChampionRegistry(Registry(uri), NAME, "champion", "previous")
    with pytest.raises(PromotionError, match=r"it was compared with sha256:\w+, and the champion here is version 1"):
        chain.go()
    assert chain.champions.registry.aliased(NAME, "champion") == "1"


def test_a_registry_without_a_champion_takes_no_comparison(chain: Chain) -> None:
    mlflow.MlflowClient(tracking_uri=chain.uri).delete_registered_model_alias(PROD, "champion")
    with pytest.raises(PromotionError, match="and the champion here is none"):
        chain.go()


def test_the_limits_here_decide(chain: Chain) -> None:
    contract = chain.file.contract
    check = chain.case.check("performance/roc_auc")
    strict = Waiver(check=check.id, limit=0.99, owner="x", reason="stricter here", expires="2100-01-01")
    chain.file = replace(chain.file, contract=contract.model_copy(update={"waivers": (strict,)}))
    with pytest.raises(PromotionError, match="by the contract here it does not pass: performance/roc_auc: failed"):
        chain.go()
    assert chain.stands() == "1"


def test_a_check_that_only_the_contract_here_has_is_not_evaluated(chain: Chain) -> None:
    contract = chain.file.contract
    assert contract.gates.drift is not None
    drift = contract.gates.drift.model_copy(update={"columns": {}})
    columns = {**contract.data.columns, "extra": contract.data.columns["temp"]}
    changed = contract.model_copy(
        update={
            "data": contract.data.model_copy(update={"columns": columns}),
            "gates": contract.gates.model_copy(update={"drift": drift}),
        }
    )
    chain.file = replace(chain.file, contract=changed)
    with pytest.raises(PromotionError, match="not_evaluated: the record has no measurement for it"):
        chain.go()


def test_the_policy_here_is_asked(chain: Chain) -> None:
    root = Path(__file__).resolve().parents[2]
    contract = chain.file.contract.model_copy(update={"promotion": Promotion(policy=str(root / "policy/release.rego"))})
    chain.file = replace(chain.file, contract=contract)
    with pytest.raises(PromotionError, match="the policy denies it: 0 approvals"):
        chain.go()


def test_a_record_that_was_changed_in_the_store_is_refused(chain: Chain) -> None:
    entry = ChampionRegistry(chain.source, NAME, "champion", "previous").ledger.head()
    assert entry is not None
    for path in (chain.folder / "dev/artifacts").rglob("record.dsse.json"):
        value = json.loads(path.read_bytes())
        write_json(path, {**value, "payload": value["payload"][:-8] + "AAAAAAA="})
    with pytest.raises(RecordRefused):
        chain.go()
    assert chain.stands() == "1"


def test_accept_from_the_command_line(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(chain.case.file.path.read_text().replace("name: flight-delay", f"name: {PROD}", 1))
    given = ["import", f"models:/{NAME}/2", "--source", "same", "--contract", str(path)]
    assert main(given) == 1
    assert "Give --trusted-key" in capsys.readouterr().err
    assert main([*given, "--trusted-key", str(chain.folder / "key.pub")]) == 0
    assert f"`champion` of {PROD} moved: version 1 -> 2" in capsys.readouterr().out
