"""Compare a record with its published schema: jsonschema against jsonschema-rs, in the same process.

python benchmarks/record_form.py        the last line is one JSON object
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jsonschema import Draft202012Validator

from support.evidence_files import Case
from weighin.canonical import canonical
from weighin.record.form import schema, validator


def milliseconds(compare: Callable[[], bool], times: int) -> float:
    """Return the processor time of one call. Errors: `ValueError` where the record has not the form."""
    began = time.process_time()
    if not all(compare() for _ in range(times)):
        raise ValueError("the record has not the published form")
    return (time.process_time() - began) * 1000 / times


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        record = json.loads(canonical(Case(Path(folder) / "reports").write().record()))
    checks = sum(len(suite["outcomes"]) for suite in record["suites"])
    peer, ours = Draft202012Validator(schema()), validator()
    slow = milliseconds(lambda: peer.is_valid(record), 5)
    fast = milliseconds(lambda: ours.is_valid(record), 200)
    said = {"checks": checks, "jsonschema_ms": slow, "jsonschema_rs_ms": fast, "ratio": slow / fast}
    print(json.dumps({name: round(value, 2) for name, value in said.items()}))


if __name__ == "__main__":
    main()
