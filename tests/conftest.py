"""For all tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

# Users do not set it, and what it hides they would meet: bytecode of a model's modules among the model's files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SCHEMA = Path(__file__).resolve().parent.parent / "docs/schema/decision-v1.schema.json"


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    """Nothing that a module's tests do to the environment (MLflow keeps its address there) reaches the next module."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="session")
def every_record_has_the_published_form() -> Iterator[None]:
    """Whatever a test writes as a record is checked against the JSON Schema that is published."""
    import evidence_files
    from weighin.cli import conclude
    from weighin.record import decision
    from weighin.record.encode import canonical

    form, made = Draft202012Validator(json.loads(SCHEMA.read_text())), decision.decision_record

    def checked(*given: Any, **more: Any) -> dict[str, Any]:
        record = made(*given, **more)
        form.validate(json.loads(canonical(record)))
        return record

    with pytest.MonkeyPatch.context() as patch:
        for module in (decision, conclude, evidence_files):
            patch.setattr(module, "decision_record", checked)
        yield
