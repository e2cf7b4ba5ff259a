"""Promotion from the evidence of a validation: judge it again, then move the alias."""

from __future__ import annotations

from pathlib import Path

from weighin.contract.reading import read_contract
from weighin.record.attestation import Attestation
from weighin.record.signature import Signer
from weighin.registry.mlflow import Registry
from weighin.release import promote as release
from weighin.release.promote import Promotion
from weighin.verdict.conclude import judged_by
from weighin.verdict.judge import decide_again


def promote(
    contract: Path | str,
    *,
    reports: Path | str = "reports",
    work: Path | str = ".weighin/work",
    registry: Registry | None = None,
    by: Signer | None = None,
    attestation: Attestation | None = None,
    image: str | None = None,
    dry_run: bool = False,
) -> Promotion:
    """Move the champion's alias to the candidate of a validation that passed.

    contract     path of model_contract.yaml
    reports, work  what `validate` left
    registry     default: where MLFLOW_TRACKING_URI says
    by           who signs the record: `weighin.record.signature.signer()` reads the key of this process
    attestation  the platform's, of this record; where it is named, nothing is moved without it
    image        the image that judged, where containers did
    dry_run      check everything, and change nothing
    Errors: `PromotionError` with the sentence that says what does not hold; the registry is then as it was.
    """
    file, folder, intermediate = read_contract(Path(contract)), Path(reports), Path(work)
    judged_by(image)
    subject, binding, decision = decide_again(file, intermediate, folder)
    return release.promote(
        file,
        subject,
        decision,
        folder,
        registry or Registry(),
        work=intermediate,
        dry_run=dry_run,
        by=by,
        attestation=attestation,
        image=binding.image,
    )
