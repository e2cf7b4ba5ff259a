"""A registry on SQLite with small real models, and a ledger that some of them stand in."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.empty_store import empty_store, put_back
from weighin.canonical import canonical, digest, file_digest, write_json
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Action, Entry
from weighin.registry.mlflow import Registry

NAME = "flight-delay"
SAYS = """\
import os

import mlflow
from mlflow.pyfunc import PythonModel


class Says(PythonModel):
    def predict(self, context, model_input, params=None):
        secrets = [k for k in os.environ if k.startswith(("MLFLOW_TRACKING", "WEIGHIN_SIGNING"))]
        return [{value} + 100 * len(secrets)] * len(model_input)


mlflow.models.set_model(Says())
"""
FAILS = """\
import mlflow
from mlflow.pyfunc import PythonModel


class Fails(PythonModel):
    def predict(self, context, model_input, params=None):
        raise RuntimeError("it was trained on other columns")


mlflow.models.set_model(Fails())
"""
BROKEN = "raise RuntimeError('this model cannot be loaded')\n"


def entered(
    of: ChampionRegistry,
    action: Action,
    head: Entry | None,
    before: str,
    after: str,
    digest: str,
    evidence: Path,
    **stated: Any,
) -> Entry:
    """Write an entry to a ledger; `stated` are its other fields."""
    return of.enter(replace(of.planned(action, head, before, after, digest), **stated), evidence)


def make(folder: Path, *codes: str) -> str:
    """A registry in a folder, a version for each code of a model, the first one champion; returns its address."""
    import mlflow

    uri = empty_store(folder)
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment(NAME, artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment(NAME)
    for code in codes:
        path = folder / "says.py"
        path.write_text(SAYS.format(value=0))
        with mlflow.start_run():
            said = mlflow.pyfunc.log_model(
                name="model", python_model=str(path), registered_model_name=NAME, pip_requirements=[]
            )
        # What cannot be loaded cannot be logged either: it becomes so afterwards.
        where = next((folder / "artifacts").rglob(f"*{said.model_id}*")) if said.model_id else folder
        (where / "artifacts/says.py").write_text(code)
    mlflow.MlflowClient(tracking_uri=uri).set_registered_model_alias(NAME, "champion", "1")
    return uri


def template(folder: Path, *codes: str) -> Path:
    """The same, to come back to: `restored` makes it again as it was. Without codes, what is there is kept."""
    if codes:
        make(folder, *codes)
    keep(folder, "template")
    return folder


def restored(
    folder: Path, scratch: Path, *versions: str, model: str = NAME, record: dict[str, Any] | None = None
) -> str:
    """A registry of `template`, in which these versions were promoted one after the other; returns its address.

    They are promoted once: what that wrote is kept, and comes back with the next call. `record` is the one that is kept
    for each.
    """
    uri = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_TRACKING_URI"] = uri  # conftest.py sets the environment back
    kept = f"{'-'.join(versions)}-{digest(canonical([model, record]))[-8:]}" if versions else "template"
    if _beside(folder, kept).exists():
        bring_back(folder, kept)
    else:
        bring_back(folder, "template")
        for version in versions:
            promoted(uri, version, scratch, model, record)
        keep(folder, kept)
    return uri


def keep(folder: Path, name: str) -> None:
    """Copy a registry and the files in it, to come back to."""
    (kept := _beside(folder, name)).mkdir()
    shutil.copyfile(folder / "mlflow.db", kept / "mlflow.db")
    shutil.copytree(folder / "artifacts", kept / "artifacts")


def bring_back(folder: Path, name: str) -> None:
    """Let a registry be what `keep` copied; a test may have changed files of a version or of an entry as well."""
    kept = _beside(folder, name)
    put_back(kept / "mlflow.db", folder / "mlflow.db")
    shutil.rmtree(folder / "artifacts")
    shutil.copytree(kept / "artifacts", folder / "artifacts")


def _beside(folder: Path, name: str) -> Path:
    # Not within: tests go through all files of a registry.
    return folder.with_name(f"{folder.name}-{name}")


def champions(uri: str, model: str = NAME) -> ChampionRegistry:
    """Of a model in a registry."""
    return ChampionRegistry(Registry(uri), model, "champion", "previous")


def promoted(uri: str, version: str, scratch: Path, model: str = NAME, record: dict[str, Any] | None = None) -> Entry:
    """What promotion does, but for the evidence: enter and mirror. `record` is kept, where there is one."""
    of = champions(uri, model)
    evidence = scratch / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    head, before = of.reconcile()
    if head is None:
        digest = of.registry.digest(model, before, scratch / "model")
        head = entered(of, "adopt", None, "", before, digest, evidence, reason="began")
    digest = of.registry.digest(model, version, scratch / "model")
    if record is not None:
        write_json(evidence / "record.json", record)
    said = file_digest(evidence / "record.json") if record is not None else f"sha256:record{version}"
    entry = entered(of, "promote", head, before, version, digest, evidence, record=said)
    of.sync_aliases(entry)
    return entry
