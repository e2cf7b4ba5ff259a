"""A record with its contract and, where asked for, a drill, as `weighin document` finds them: by the real code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.evidence_files import RELEASES, ROOT, Case
from weighin.canonical import write_json
from weighin.contract import read_contract
from weighin.document.material import Material, read_material

CARD = """
card:
  purpose: Tells passengers which flights will be late.
  owner: operations research
  out_of_scope: [Paying compensation, Rating airlines]
  contact: models@example.org
  licence: Apache-2.0
"""
CONTRACT = (ROOT / "model_contract.yaml").read_text(encoding="utf-8")


def case(folder: Path, contract: str = CONTRACT + CARD, **more: Any) -> Case:
    """Return evidence for a contract of this text, below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model_contract.yaml"
    path.write_text(contract, encoding="utf-8")
    return Case(folder / "reports", read_contract(path), releases=RELEASES, **more)


def recorded(made: Case) -> dict[str, Any]:
    """Write evidence and record; returns the record."""
    record = made.write().record()
    write_json(made.reports / "record.json", record)
    return record


def material(made: Case, **more: Any) -> Material:
    """Return what documents about a case are made of."""
    recorded(made)
    return read_material(made.file, made.reports, **more)


def drill(record: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a small drill of a record's contract and subject."""
    fault = {
        "name": "model-worse", "family": "model", "what": "Make the model worse.", "seen": "", "unit": "AUC",
        "size": 0.02, "answer": "blocked", "by": {"performance/roc_auc/vs-champion": "failed"},
        "suites": {"performance": "blocked"},
        "reason": "", "curve": {"size": 0.015, "low": 0.01, "high": 0.02, "slope": 2.0}, "draws": [], "seconds": 1.0,
        "suggestion": [], "edits": [],
    }  # fmt: skip
    missed = fault | {"name": "data-late", "answer": "missed", "by": {}, "suites": {}, "curve": None}
    control = {"name": "control-same-data", "what": "The reference against itself.", "draws": 60, "blocked": 1,
               "passed": 50, "inconclusive": 9, "predicted": None, "p_value": 0.9}  # fmt: skip
    about = {
        "model": "flight-delay", "candidate": "flight-delay version 2", "champion": None, "alpha": 0.05, "seed": 7,
        "contract": record["contract"]["digest"], "subject": record["subject"], "sampling_unit": "groups by day",
        "dataset": "current", "repeats": 60, "quick": False, "controls": 60, "suggest": False, "seconds": 2.0,
        "made": "2026-11-01T00:00:00+00:00",
    }  # fmt: skip
    summary = {"faults": 2, "killed": 1, "inconclusive": 0, "missed": 1, "not_applicable": 0, "errors": 0,
               "controls": 60, "false_alarms": 1}  # fmt: skip
    return {
        "schema": "weighin/drill/v1", "about": about, "promise": "The drill worked on copies.",
        "suites": ["performance"],
        "baseline": {"status": "passed", "blocking": []}, "summary": summary, "faults": [fault, missed],
        "controls": [control], **more,
    }  # fmt: skip


def write_drill(made: Case, value: dict[str, Any]) -> Path:
    """Write a drill beside the record of a case."""
    path = made.reports / "drill" / "drill.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
