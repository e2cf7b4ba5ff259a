"""What is found out about models before they are asked, and what the verdict makes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.contract_texts import GOOD
from weighin.contract.models import Contract
from weighin.contract.reading import read_contract
from weighin.model.examined import Examined
from weighin.model.subject import ModelVersion, Subject
from weighin.resolve import examine as examining
from weighin.resolve.examine import examine
from weighin.suites.model import model_outcomes

SOUND = [{"type": "long", "name": "distance", "required": True}, {"type": "string", "name": "carrier"}]


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return changed(tmp_path)


def changed(tmp_path: Path, model: str = "") -> Contract:
    (tmp_path / "model_contract.yaml").write_text(GOOD.replace("  target: late\n", f"  target: late\n{model}"))
    return read_contract(tmp_path / "model_contract.yaml").contract


def logged(folder: Path, inputs: Any = SOUND, loader: str = "mlflow.sklearn", requirements: str = "") -> Path:
    """Write what MLflow keeps of a model."""
    flavours = {"python_function": {"loader_module": loader, "python_version": "3.11.9"}}
    signature = None if inputs is None else {"inputs": json.dumps(inputs)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, "signature": signature}))
    (folder / "requirements.txt").write_text(requirements)
    return folder


def found(tmp_path: Path, contract: Contract, **missing: int) -> tuple[dict[str, Examined], dict[str, Any]]:
    """What `resolve` finds out, and what the verdict says of it."""
    roles = sorted(p.name for p in (tmp_path / "models").iterdir())
    models = examine(contract, tmp_path / "models", roles, {"holdout": {"missing": missing}})
    version = ModelVersion("m", "2", "r", "sha256:2", "x")
    subject = Subject(version, None, "sha256:c", {}, True, models=models)
    return models, {o.check: o for o in model_outcomes(contract, subject)}


def test_a_model_that_fits_is_passed_with_what_it_is(tmp_path: Path, contract: Contract) -> None:
    logged(tmp_path / "models/candidate")
    models, outcomes = found(tmp_path, contract)
    assert {o.status.value for o in outcomes.values()} == {"passed"}
    assert models["candidate"].refused == ""
    assert models["candidate"].environment == "judge"


@pytest.mark.parametrize(
    ("inputs", "missing", "check", "said"),
    [
        (
            [*SOUND, {"type": "double", "name": "fuel"}],
            {},
            "model/signature",
            'column ["fuel"]: the signature requires it',
        ),
        (SOUND, {"distance": 3}, "model/signature", "3 values are missing in the files (integer)"),
        (None, {}, "model/no-signature", "given the features in the contract's order"),
        (SOUND[:1], {}, "model/unused-features", 'the signature does not name ["carrier"]'),
    ],
)
def test_one_thing_that_does_not_fit_is_one_red_check(
    inputs: Any, missing: dict[str, int], check: str, said: str, tmp_path: Path, contract: Contract
) -> None:
    logged(tmp_path / "models/candidate", inputs)
    models, outcomes = found(tmp_path, contract, **missing)
    red = {name: o for name, o in outcomes.items() if o.status.value != "passed"}
    assert list(red) == [check]
    assert said in red[check].reason
    assert red[check].blocks == (check == "model/signature")
    assert bool(models["candidate"].refused) == (check == "model/signature")


def test_what_the_champion_s_clients_do_not_send_is_a_warning(tmp_path: Path, contract: Contract) -> None:
    logged(tmp_path / "models/champion", SOUND[:1])
    logged(tmp_path / "models/candidate")
    _, outcomes = found(tmp_path, contract)
    assert 'requires ["carrier"]' in outcomes["model/champion-callers"].reason
    assert not outcomes["model/champion-callers"].blocks


def test_a_file_that_is_no_mlmodel_is_not_evaluated(tmp_path: Path, contract: Contract) -> None:
    logged(tmp_path / "models/candidate")
    (tmp_path / "models/candidate/MLmodel").write_text("flavors: {sklearn: {}}")
    models, outcomes = found(tmp_path, contract)
    assert outcomes["model/signature"].status.value == "not_evaluated"
    assert "no flavour python_function" in models["candidate"].refused


def test_a_candidate_that_nobody_looked_at_blocks(contract: Contract) -> None:
    version = ModelVersion("m", "2", "r", "sha256:2", "x")
    (first, *_) = model_outcomes(contract, Subject(version, None, "sha256:c", {}, True))
    assert first.status.value == "not_evaluated"
    assert first.blocks


def test_another_version_than_it_was_fitted_with_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "installed", lambda: {"scikit-learn": "1.9.1", "python": "3.12"})
    logged(tmp_path / "models/candidate", requirements="scikit-learn==1.5.2\n")
    _, warned = found(tmp_path, changed(tmp_path))
    outcome = warned["model/fitted-versions"]
    assert (
        "scikit-learn: fitted with 1.5.2, asked with 1.9.1; python: fitted with 3.11, asked with 3.12" in outcome.reason
    )
    assert not outcome.blocks
    _, blocked = found(tmp_path, changed(tmp_path, "  fitted_versions: block\n"))
    assert blocked["model/fitted-versions"].blocks


def test_a_library_that_is_not_here_asks_for_an_environment_of_the_model_s_own(tmp_path: Path) -> None:
    logged(tmp_path / "models/candidate", loader="mlflow.nosuchlibrary", requirements="scikit-learn==1.5.2\n")
    models, outcomes = found(tmp_path, changed(tmp_path))
    assert models["candidate"].environment == "own"
    # It has what it declares; the Python is the one that is here.
    assert "scikit-learn" not in outcomes["model/fitted-versions"].reason
    judged, _ = found(tmp_path, changed(tmp_path, "  environment: judge\n"))
    assert judged["candidate"].environment == "judge"
    logged(tmp_path / "models/candidate")
    own, _ = found(tmp_path, changed(tmp_path, "  environment: own\n"))
    assert own["candidate"].environment == "own"


def test_a_model_that_is_larger_than_its_memory_is_not_asked(tmp_path: Path, contract: Contract) -> None:
    folder = logged(tmp_path / "models/candidate")
    with (folder / "weights.bin").open("wb") as file:
        os.truncate(file.fileno(), 5 * 2**30)  # a hole: it takes no room
    models, outcomes = found(tmp_path, contract)
    assert (
        "files have 5,120 MB, and its container may use 2,000 MB: raise `model.memory_mb`"
        in models["candidate"].refused
    )
    assert outcomes["model/signature"].status.value == "failed"
