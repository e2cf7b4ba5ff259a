"""Take the pictures of docs/images from real runs: `python scripts/screenshots.py`, about two minutes, with Chromium.

report.png   the report of the first tutorial's model with one column, against the champion
monitor.png  the page of `weighin monitor` for that champion: two days of its answers, of which more and more fail
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from selenium import webdriver

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
TUTORIAL = ROOT / "docs/tutorials/own-table.md"
FEATURES = ("radius", "texture", "smoothness", "concavity", "symmetry")
MONITOR = {
    "log": {"path": "log"},
    "watch": [
        {"error_rate_at_most": 0.02, "window": {"rows": 1000}, "action": "alert"},
        {"latency_ms_at_most": 60, "window": {"rows": 1000}, "action": "alert"},
        {"age_days_at_most": 180, "action": "retrain"},
    ],
    "evidence": {"every_minutes": 60},
}
HOURS, REQUESTS = 48, 400
"""Runs, one an hour, and requests in each."""


def project(folder: Path) -> None:
    """Do what the tutorial says up to the model that is refused."""
    text = TUTORIAL.read_text(encoding="utf-8")
    (script,) = re.findall(r"```python title=\"train.py\"\n(.*?)```", text, re.DOTALL)
    (folder / "train.py").write_text(script)
    contract = (ROOT / "docs/reference/contracts/minimal.yaml").read_text()
    (folder / "model_contract.yaml").write_text(f"{contract}monitor: {json.dumps(MONITOR)}\n")
    for words, wanted in (
        (("python", "train.py"), 0),
        (("weighin", "validate", "--candidate", "models:/tumour/1"), 0),
        (("weighin", "promote"), 0),
        (("python", "train.py", "symmetry"), 0),
        (("weighin", "validate", "--candidate", "models:/tumour/2"), 1),
    ):
        program = Path(sys.executable).with_name(words[0])
        done = subprocess.run([program, *words[1:]], cwd=folder, check=False)
        if done.returncode != wanted:
            raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}, and not {wanted}")


def monitored(folder: Path) -> Path:
    """Log two days of answers, run the monitor once an hour, and return its page."""
    from weighin.contract import read_contract
    from weighin.monitor.history import history
    from weighin.monitor.result import document
    from weighin.monitor.run import Watcher
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables
    from weighin.registry.champion import ChampionRegistry
    from weighin.registry.mlflow import Registry
    from weighin.report.monitor import page

    file = read_contract(folder / "model_contract.yaml")
    tables, rng = LogTables.of(file), np.random.default_rng(0)
    champions = ChampionRegistry.of(file.contract.model, Registry())
    seen, began = pq.read_table(folder / "data/holdout.parquet"), datetime.now(UTC) + timedelta(minutes=1)
    watcher = run = None
    with contextlib.closing(sink_for(tables)) as sink:
        for hour in range(HOURS):
            first = began + timedelta(hours=hour)
            sink.write(tables.predictions, answers(tables, seen, first, 0.002 + 0.06 * (hour / HOURS) ** 3, rng))
            watcher = Watcher(file, champions, os.environ)
            run = watcher.run(first + timedelta(hours=1))
    assert run is not None
    found = history(champions.registry, champions.model, champions.ledger.entries(), run.journal.events)
    place = folder / "monitor.html"
    place.write_text(page(document(run), found), encoding="utf-8")
    return place


def answers(tables: Any, seen: pa.Table, first: datetime, failing: float, rng: np.random.Generator) -> pa.Table:
    """Return an hour of the log: rows of the holdout, asked one by one, of which a share has failed."""
    picked = seen.take(pa.array(rng.integers(0, seen.num_rows, REQUESTS)))
    failed = rng.random(REQUESTS) < failing
    moments = [first + timedelta(seconds=3500 * n / REQUESTS) for n in range(REQUESTS)]
    score = np.where(np.array(picked["malignant"]) == 1, rng.beta(9, 2, REQUESTS), rng.beta(1.2, 9, REQUESTS))
    values: dict[str, Any] = {
        "at": moments,
        "request": [f"{m.timestamp():.3f}" for m in moments],
        "row": [0] * REQUESTS,
        "model": [tables.model] * REQUESTS,
        "version": ["1"] * REQUESTS,
        "digest": ["sha256:x"] * REQUESTS,
        "role": ["champion"] * REQUESTS,
        "status": np.where(failed, 500, 200),
        "latency_ms": rng.gamma(9, 3, REQUESTS),
        "prediction": pa.array(score, mask=failed),
        **{f"f_{name}": pa.array(np.array(picked[name]), mask=failed) for name in FEATURES},
    }
    columns = [
        pa.array(values[f.name], type=f.type) if f.name in values else pa.nulls(REQUESTS, f.type) for f in tables.schema
    ]
    return pa.table(columns, schema=tables.schema)


def picture(page: Path, image: Path, height: int) -> None:
    """Take the first screen of a page, 1,100 pixels wide."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        size = {"width": 1100, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        browser.save_screenshot(str(image))
    finally:
        browser.quit()


def main() -> int:
    """Run everything in a temporary folder; returns the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        os.chdir(folder)
        project(folder)
        picture(folder / "reports/report.html", IMAGES / "report.png", 900)
        picture(monitored(folder), IMAGES / "monitor.png", 1000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
