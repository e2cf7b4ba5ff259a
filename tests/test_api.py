"""What docs/reference/api.md shows runs, in the order in which it stands there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import weighin
from support.evidence_files import ROOT, SOUND, Case
from support.registry_versions import NAME, SAYS, make
from weighin.canonical import write_json
from weighin.contract import read_contract
from weighin.data.profile import Profile
from weighin.model.subject import Subject
from weighin.record.signature import KEY, make_key
from weighin.record.suite import Binding
from weighin.registry.mlflow import Registry

POLICY = """
package weighin.release
import rego.v1
allow := count(input.approvals) == 1
deny := set()
"""
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/api.md").read_text(), re.DOTALL)


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in weighin.__all__:
        assert getattr(weighin, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = weighin.nonsense  # type: ignore[attr-defined]


def test_the_documented_functions_do_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = make(tmp_path, *(SAYS.format(value=v) for v in (0.1, 0.2)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    make_key(tmp_path / "key")
    monkeypatch.setenv(KEY, str(tmp_path / "key"))
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "model_contract.yaml", "model_contract.yaml")
    said = {"policy": "policy.rego", "approvers": [{"name": "me", "key": "key.pub"}]}
    with Path("model_contract.yaml").open("a") as file:
        file.write(f"\npromotion: {json.dumps(said)}\n")
    Path("policy.rego").write_text(POLICY)
    case = Case(Path("reports"), read_contract(Path("model_contract.yaml")))
    models = [Registry(uri).resolve(f"models:/{NAME}/{v}", tmp_path / v) for v in ("1", "2")]
    profile = Profile(1, None, "none", True, {}, {})
    profile.write(Path(".weighin/work/profiles/reference.json"))
    data = {"reference": {"profile": profile.digest}}
    case.subject = Subject(models[1], models[0], case.file.digest, data, True, models=SOUND)
    case.binding = Binding(case.file.digest, case.subject.digest, "", "1")
    case.subject.write(Path(".weighin/work/subject.json"))
    write_json(Path("reports/record.json"), case.write().record())
    validate, promote, approve, show, back = BLOCKS
    assert "weighin.validate(" in validate  # tests/verdict/test_validate.py runs it, with models
    names: dict[str, Any] = {"weighin": weighin}
    signer, _, move = promote.partition("done = ")
    # The policy of this contract demands an approval: it comes before the promotion.
    for block in (signer, approve, f"done = {move}", show):
        exec(block, names)  # noqa: S102 - our own page
    assert Registry(uri).aliased(NAME, "champion") == "2"
    assert "1 -> 2" in capsys.readouterr().out
    # The version before was never gated here: going back needs an emergency, and says so.
    with pytest.raises(Exception, match="was never gated"):
        exec(back, names)  # noqa: S102
    emergency = back.replace('reason="error rate doubled"', 'reason="x", emergency=True')
    exec(emergency, names)  # noqa: S102
    assert "1 not asked" in capsys.readouterr().out
    assert Registry(uri).aliased(NAME, "champion") == "1"
