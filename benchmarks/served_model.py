"""What MLflow's scoring server of the example sustains on one core, and what workers, batches and formats change.

    python benchmarks/served_model.py [--seconds S]

The champion of the embedded registry (`make validate` makes one) is served on one core, or two for two workers; our
generator asks from another. A ramp of load, each step half as much again as the last, ends where fewer than 90 % of the
answers came within 300 ms, the limit of the example's contract. The
maximal sustainable rate is the last rate before. Last line: JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from weighin.load import generate, read_log
from weighin.registry.mlflow import Registry
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MS, SHARE = 300.0, 0.9
HOLDOUT = ROOT / "examples/flights/data/holdout.parquet"


@dataclass(frozen=True)
class Variant:
    """One way to serve and to ask."""

    name: str
    rows: int = 5
    workers: int = 1
    form: str = "dataframe_split"
    model: str = "as logged"


VARIANTS = (
    Variant("as the example does: 5 rows a request, one worker"),
    Variant("1 row a request", rows=1),
    Variant("50 rows a request", rows=50),
    Variant("500 rows a request", rows=500),
    Variant("two workers on the same core", workers=2),
    Variant("`instances` instead of `dataframe_split`", form="instances"),
    Variant("model without a signature: nothing is enforced", model="no signature"),
    Variant("model saved with cloudpickle instead of skops", model="cloudpickle"),
)


def models(folder: Path) -> dict[str, Path]:
    """The champion as it was logged, and the same pipeline saved otherwise."""
    import mlflow.sklearn
    from mlflow.models import Model

    found = {name: folder / name.replace(" ", "-") for name in ("as logged", "no signature", "cloudpickle")}
    Registry().resolve("models:/flight-delay@champion", found["as logged"])
    trusted = Model.load(str(found["as logged"])).flavors["sklearn"].get("skops_trusted_types")
    pipeline = mlflow.sklearn.load_model(str(found["as logged"]))
    common = {"pyfunc_predict_fn": "predict_proba"}
    mlflow.sklearn.save_model(pipeline, str(found["no signature"]), skops_trusted_types=trusted, **common)
    signature = Model.load(str(found["as logged"])).signature
    mlflow.sklearn.save_model(
        pipeline, str(found["cloudpickle"]), serialization_format="cloudpickle", signature=signature, **common
    )
    return found


@contextlib.contextmanager
def served(model: Path, workers: int, core: int) -> Iterator[str]:
    """The address of MLflow's scoring server on one core."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait(timeout=10)


def max_sustainable_rate(url: str, variant: Variant, features: Path, seconds: float, out: Path) -> dict[str, float]:
    """Rate, rows per second and p95 of the last step that was kept."""
    first = 20.0 if variant.rows <= 50 else 4.0
    rates = [first * 1.25**i for i in range(18)]
    plan = LoadPlan(
        phases=(Phase("warm_up", first, 3), *(Phase(f"stress-{i}", r, seconds) for i, r in enumerate(rates))),
        arrivals="poisson",
        batch_rows=(variant.rows,),
        timeout_seconds=10,
        server_cpus=1,
        server_memory_mb=0,
        start_seconds=60,
        interface=Interface(form=variant.form),
        break_ms=LIMIT_MS,
        break_share=SHARE,
        lateness_ms=50,
    )
    generate(url, features, plan, Answers(), out)
    log = read_log([out / "responses-candidate-0.arrow"])
    kept = {"requests_per_second": 0.0, "rows_per_second": 0.0, "p95_ms": float("nan")}
    for number, rate in enumerate(rates):
        step = log.of(f"stress-{number}")
        latency = np.where(step.ok, step.latency * 1000, np.inf)
        if not len(latency) or (latency <= LIMIT_MS).mean() < SHARE:
            break
        p95 = float(np.quantile(latency, 0.95, method="higher"))
        kept = {"requests_per_second": rate, "rows_per_second": rate * variant.rows, "p95_ms": p95}
    return kept


def main() -> int:
    """Measure every variant and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of a step (default %(default)s)")
    given = parser.parse_args()
    os.sched_setaffinity(0, {0})
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        saved = models(folder)
        from mlflow.models import Model

        names = Model.load(str(saved["as logged"])).signature.inputs.input_names()
        features = folder / "features.parquet"
        pd.read_parquet(HOLDOUT, columns=names).to_parquet(features)
        print(f"{'variant':60} {'requests/s':>10} {'rows/s':>8} {'p95 ms':>7}")
        for variant in VARIANTS:
            with served(saved[variant.model], variant.workers, core=1) as url:
                found[variant.name] = at = max_sustainable_rate(url, variant, features, given.seconds, folder / "out")
            shutil.rmtree(folder / "out")
            print(
                f"{variant.name:60} {at['requests_per_second']:10.0f} {at['rows_per_second']:8.0f} {at['p95_ms']:7.0f}",
                flush=True,
            )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
