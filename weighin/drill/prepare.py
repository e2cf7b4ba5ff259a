"""What a drill needs where nothing was validated: models and data, resolved and predicted beside the work folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from weighin.contract.reading import ContractFile
from weighin.errors import NotEvaluated
from weighin.runner import local


@contextlib.contextmanager
def prepared(file: ContractFile, work: Path, candidate: str | None, champion: str | None) -> Iterator[Path]:
    """Yield a work folder to drill on: what the last validation left, or one of models that are resolved now.

    work                 of `weighin validate`
    candidate, champion  as for `validate`; where one is named, or nothing was validated, the models are resolved and
                         asked in the folder `drill-work` beside `work`. The registry is read, and never written to
    Errors: `RegistryError`, `ContractError`, `NotEvaluated`.
    """
    if file.contract.labels is not None:
        said = "labels come in by a plan, and a drill needs a holdout whose every row has one"
        raise NotEvaluated(said, "gates.performance.labels", "Drill with a contract that names such a holdout.")
    if candidate is None and champion is None and (work / "subject.json").is_file():
        yield work
        return
    # Not at the top: MLflow takes seconds, and a drill on what is there needs none of it.
    from weighin.init.trial import forking
    from weighin.resolve.models import resolve

    own = work.parent / "drill-work"
    with forking() as forks:
        resolve(file, own, candidate, champion)
        local.predict(own, forks)
    if file.contract.gates.load:
        local.load(own)
    yield own
