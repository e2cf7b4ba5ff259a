"""The bill of materials of a model in CycloneDX 1.6: the model, its datasets, its metrics with their intervals.

cyclonedx-python-lib makes the document; it knows no `modelCard` and no `data` yet, so these two are put into its JSON.
What comes out is compared with the strict schema that the library carries, and a document that does not fit is none.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from weighin import __version__
from weighin.canonical import canonical
from weighin.document.findings import FAIRNESS
from weighin.document.material import Material
from weighin.errors import EvidenceError
from weighin.github.escape import plain_line
from weighin.record.metrics import COMPARED
from weighin.report.view import CheckView
from weighin.untrusted import JsonDict

if TYPE_CHECKING:
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import DisjunctiveLicense

SERIAL = uuid.UUID("6f1c7a3e-6d0b-5b0e-9a34-6f0b1d2c7e55")
"""Namespace of serial numbers: the same record has the same."""
TASKS = {
    "binary": "classification",
    "multiclass": "classification",
    "regression": "regression",
    "text": "text",
    "ranking": "ranking",
    "forecast": "forecasting",
}
MODEL, DATA = "model", "data:"
"""References within the document."""
MEASURED = ("performance", "sealed", "load")
"""Suites whose samples are metrics of the model."""
LETTERS = 2_000
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def ml_bom(of: Material) -> bytes:
    """`ml-bom.cdx.json`, in canonical form. Errors: `EvidenceError` where it does not fit the schema of CycloneDX."""
    from cyclonedx.output.json import JsonV1Dot6

    value: JsonDict = json.loads(JsonV1Dot6(_bom(of)).output_as_string())
    if not of.record["run"]["created"]:
        # The library puts the moment of writing where none is known.
        value["metadata"].pop("timestamp")
    value["metadata"]["component"]["modelCard"] = _model_card(of)
    for component in value.get("components", ()):
        component["data"] = [{"type": "dataset", "name": component["name"]}]
    data = canonical(value)
    demand_valid(data)
    return data


def demand_valid(data: bytes) -> None:
    """Errors: `EvidenceError` that names the first place at which a document does not fit the strict schema."""
    found = _validator().validate_str(data.decode())
    if found is not None:
        where = "/".join(map(str, getattr(found.data, "absolute_path", ()))) or "the document"
        raise EvidenceError(
            f"the bill of materials does not fit CycloneDX 1.6 at {plain_line(where)}",
            "ml-bom.cdx.json",
            "Report it: weighin wrote what it should not.",
        )


@cache
def _validator() -> Any:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6)


def _bom(of: Material) -> Bom:
    """Return the document without what the library does not know. Nothing in it depends on the moment of writing."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType

    record = of.record
    model, created = _model(of), record["run"]["created"]
    metadata = BomMetaData(
        component=model,
        timestamp=_moment(created) if created else None,
        properties=_properties(
            record=of.digest,
            verdict=record["verdict"]["status"],
            contract=record["contract"]["digest"],
            subject=record["subject"],
            image=record["image"],
            commit=record["run"]["commit"],
            run=record["run"]["url"],
        ),
    )
    tool = Component(name="weighin", version=__version__, type=ComponentType.APPLICATION, bom_ref="weighin")
    metadata.tools.components.add(tool)
    datasets = [_dataset(name, value) for name, value in record["data"].items()]
    bom = Bom(serial_number=uuid.uuid5(SERIAL, of.digest), metadata=metadata, components=datasets)
    bom.register_dependency(model, datasets)
    return bom


def _model(of: Material) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    candidate, card = of.record["candidate"], of.card
    return Component(
        name=_plain(of.record["model"]),
        version=_plain(candidate["version"]) or None,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=MODEL,
        licenses=[_licence(card.licence)] if card.licence else [],
        description=_plain(card.purpose) if card.purpose else None,
        # The digest is that of a list of files and their digests, so it is no hash of one file.
        properties=_properties(
            files=candidate["digest"], run_id=candidate["run_id"], owner=card.owner or "", contact=card.contact or ""
        ),
    )


def _licence(name: str) -> DisjunctiveLicense:
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.spdx import fixup_id

    known = fixup_id(name)
    return DisjunctiveLicense(id=known) if known else DisjunctiveLicense(name=_plain(name))


def _dataset(name: str, value: JsonDict) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    found = _DIGEST.fullmatch(str(value.get("sha256", "")))
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=found[1])] if found else []
    return Component(
        name=_plain(name),
        type=ComponentType.DATA,
        bom_ref=f"{DATA}{_plain(name)}",
        hashes=hashes,
        properties=_properties(
            rows=str(value.get("rows", "")),
            window=" to ".join(map(str, value.get("window") or ())),
            profile=str(value.get("profile", "")),
        ),
    )


def _model_card(of: Material) -> JsonDict:
    """Return `modelCard`: parameters, metrics with their intervals, and considerations."""
    card, model = of.card, of.contract.model
    parameters = {
        "approach": {"type": "supervised"},
        "task": TASKS[model.task],
        "datasets": [{"ref": f"{DATA}{_plain(name)}"} for name in of.record["data"]],
        "inputs": [{"format": f"{name}: {of.contract.data.columns[name].type}"} for name in of.contract.features],
        "outputs": [{"format": model.prediction.kind}],
    }
    considerations: JsonDict = {
        "technicalLimitations": [_plain(one) for one in (*card.out_of_scope, of.answer.promise)],
    }
    if card.purpose:
        considerations["useCases"] = [_plain(card.purpose)]
    fairness = [_assessed(v) for v in of.views if FAIRNESS in v.check]
    if fairness:
        considerations["fairnessAssessments"] = fairness
    metrics = [_metric(v) for v in of.suite(*MEASURED) if v.interval not in ("", "exact")]
    found: JsonDict = {"modelParameters": parameters, "considerations": considerations}
    return found | ({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {})


def _metric(view: CheckView) -> JsonDict:
    """Return one sample with its interval; the slice apart, where the check is about one."""
    evidence, compared = view.outcome["evidence"], COMPARED.fullmatch(view.check)
    part = compared[4] if compared else None
    kind = view.check.removesuffix(f"/{part}") if part else view.check
    ends = {"lowerBound": str(evidence["low"]), "upperBound": str(evidence["high"])}
    return {
        "type": _plain(kind.removeprefix("performance/")),
        "value": str(evidence["estimate"]),
        "confidenceInterval": ends,
        **({"slice": _plain(part)} if part else {}),
    }


def _assessed(view: CheckView) -> JsonDict:
    measured = f"{view.estimate}, interval {view.interval}, " if view.estimate else ""
    said = f"The gate limits the difference: {measured}limit {view.limit}, {view.word}."
    return {"groupAtRisk": _plain(view.check.partition(FAIRNESS)[2]), "mitigationStrategy": _plain(said)}


def _properties(**values: str) -> Iterator[Property]:
    from cyclonedx.model import Property

    return (Property(name=f"weighin:{name}", value=_plain(value)) for name, value in values.items() if value)


def _moment(created: str) -> datetime:
    """Return the moment of the decision. Errors: `EvidenceError` for a text that is none."""
    try:
        found = datetime.fromisoformat(created)
    except ValueError as error:
        raise EvidenceError("the run's `created` is no moment", "record.json", "Validate again.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _plain(value: str) -> str:
    return plain_line(value, LETTERS)
