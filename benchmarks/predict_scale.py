"""What a cluster and a large holdout cost: a model asked in one process and on two workers, many scored rows judged.

    python benchmarks/predict_scale.py [--quick] [--rows N] [--judge-rows N]

A neural network of two layers over 16 doubles is asked about `--rows` rows (4,000,000; 200,000 with --quick) by the
local runner: in one process, and by a standalone cluster of two workers on loopback, whose driver has still to start.
`answers_equal` says whether both files hold the same answers, within the rounding of the model's precision, to the
same digest of the features. `peak_gb` is the largest process that the runner has waited for; the executors are not
among them.

Then `--judge-rows` scored rows (100,000,000; 10,500,000 with --quick) of candidate and champion are written. The
performance gate of a contract with eight checks measures them as `weighin step judge` does, in a process of its
own, whose peak is `judge_peak_gb`. The files lie in a temporary folder. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
COLUMNS = [f"x{i}" for i in range(16)]
CHILD_SECONDS = 3_600
PART = 1_000_000
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: late}
data:
  holdout: holdout.parquet
  columns:
    late: {type: integer, role: target}
    x: {type: float}
gates:
  performance:
    checks:
      - {metric: roc_auc, at_least: 0.7}
      - {metric: log_loss, at_most: 0.65}
      - {metric: accuracy, at_least: 0.6}
      - {metric: average_precision, at_least: 0.4}
      - {metric: roc_auc, against: champion, margin: 0.002}
      - {metric: brier, against: champion, margin: 0.002}
      - {metric: f1, against: champion, margin: 0.002}
"""


def build(work: Path, rows: int) -> None:
    """Write a model and its features into a work folder, as `weighin step resolve` does."""
    import mlflow
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.neural_network import MLPClassifier

    from support.load_work import resolved

    rng = np.random.default_rng(0)
    drawn = pd.DataFrame(rng.normal(size=(20_000, 16)), columns=COLUMNS)
    label = drawn.x0 * drawn.x1 + drawn.x2 + rng.normal(size=len(drawn)) > 0
    model = MLPClassifier((64, 64), solver="lbfgs", max_iter=50, random_state=0).fit(drawn, label)
    mlflow.sklearn.save_model(
        model,
        work / "models/candidate",
        pyfunc_predict_fn="predict_proba",
        signature=mlflow.models.infer_signature(drawn, model.predict_proba(drawn)),
        pip_requirements=["scikit-learn"],
    )
    resolved(work)
    (work / "features").mkdir()
    schema = pa.schema([(name, pa.float64()) for name in COLUMNS])
    with pq.ParquetWriter(work / "features/holdout.parquet", schema) as writer:
        for start in range(0, rows, PART):
            part = rng.normal(size=(min(PART, rows - start), 16))
            writer.write_table(pa.table(list(part.T.copy()), schema=schema))


def ask(work: Path, on: str) -> dict[str, object]:
    """Ask by the local runner; seconds, and what went wrong."""
    from weighin.runner import local
    from weighin.runner.plan import Answers, Plan

    Plan(("performance",), ("candidate",), Answers((1,)), CHILD_SECONDS, 4_000, None, predict_on=on).write(
        work / "plan.json"
    )
    started = time.perf_counter()
    local.predict(work)
    seconds = time.perf_counter() - started
    problem = work / "predictions/candidate.problem"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {"seconds": seconds, "problem": problem.read_text() if problem.is_file() else "", "peak_gb": peak}


def equal(one: Path, two: Path) -> bool:
    """Whether two files of predictions are about the same features, and hold the same answers."""
    import numpy as np
    import pyarrow as pa

    from weighin.model.answers import FEATURES, read_precision, rounding

    tables = [pa.ipc.open_file(path).read_all() for path in (one, two)]
    features = {(table.schema.metadata or {}).get(FEATURES) for table in tables}
    values = [table.column(0).to_numpy() for table in tables]
    near = np.abs(values[0] - values[1]) <= rounding(read_precision(one)) * np.maximum(1, np.abs(values[0]))
    return len(features) == 1 and len(values[0]) == len(values[1]) and bool(near.all())


def score(folder: Path, rows: int) -> None:
    """Write a holdout and what two models answered to it, as the steps before the judge leave them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from support.evidence_files import SOUND
    from weighin.canonical import file_digest
    from weighin.contract import read_contract
    from weighin.model.answers import FEATURES, PRECISION, prediction_columns
    from weighin.model.subject import ModelVersion, Subject

    (folder / "model_contract.yaml").write_text(CONTRACT)
    rng = np.random.default_rng(1)
    late, holdout = pa.schema([("late", pa.int64())]), folder / "holdout.parquet"
    truth = np.zeros(rows, dtype=bool)
    with pq.ParquetWriter(holdout, late) as writer:
        for start in range(0, rows, PART):
            part = truth[start : start + PART]
            part[:] = rng.random(len(part)) < 0.3
            writer.write_table(pa.table([part.astype(np.int64)], schema=late))
    noise = rng.normal(size=PART)
    for role, strength in (("candidate", 1.25), ("champion", 1.2)):
        path = folder / f"work/predictions/{role}/holdout.arrow"
        path.parent.mkdir(parents=True)
        values = np.empty(rows)
        for start in range(0, rows, PART):
            part = truth[start : start + PART]
            own = 0.6 * noise[: len(part)] + 0.8 * rng.normal(size=len(part))
            values[start : start + PART] = 1 / (1 + np.exp(1.3 - strength * part - own))
        batch = pa.record_batch([values], names=prediction_columns(1))
        schema = batch.schema.with_metadata({FEATURES: b"sha256:f", PRECISION: b"float64"})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    models = {role: ModelVersion("m", role, "r", f"sha256:{role}", "x") for role in ("candidate", "champion")}
    known = {"sha256": file_digest(holdout), "rows": rows, "total": rows, "problem": "", "features": "sha256:f"}
    digest = read_contract(folder / "model_contract.yaml").digest
    subject = Subject(models["candidate"], models["champion"], digest, {"holdout": known}, True, models=SOUND)
    subject.write(folder / "work/subject.json")


def judge(folder: Path) -> dict[str, object]:
    """Measure and decide every check of the performance gate."""
    from weighin.contract import checks, read_contract
    from weighin.outcome import Measurement, decide
    from weighin.suites import measured
    from weighin.suites.evidence import Evidence

    file = read_contract(folder / "model_contract.yaml")
    evidence, started, lines = Evidence(file, folder / "work"), time.perf_counter(), []
    for check in checks(file.contract, "performance"):
        before = time.perf_counter()
        outcome = decide(measured(check, evidence), check.limit)
        of = outcome.evidence
        measured_so = isinstance(of, Measurement)
        said = f"{of.estimate:.7f} [{of.low:.7f}, {of.high:.7f}] {of.method}" if measured_so else outcome.reason
        lines.append(f"{check.id}: {outcome.status.value} in {time.perf_counter() - before:.1f} s, {said}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": time.perf_counter() - started, "peak_gb": peak, "lines": lines}


def child(work: str, folder: Path, rows: int = 0, environment: dict[str, str] | None = None) -> dict[str, object]:
    """One step in a process of its own; what it returned."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", work, "--folder", str(folder), "--rows", str(rows)],
        capture_output=True,
        text=True,
        timeout=CHILD_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        sys.exit(f"{work} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def asked(folder: Path, rows: int) -> dict[str, object]:
    """A model in one process and on two workers."""
    from support.spark_servers import LOOPBACK, cluster

    work, left = folder / "work", folder / "work/predictions/candidate/holdout.arrow"
    child("build", work, rows)
    local = child("process", work)
    kept = left.rename(folder / "local.arrow") if not local["problem"] else left
    with cluster(folder, memory="2g") as master:
        where = {"WEIGHIN_SPARK": master, "SPARK_LOCAL_IP": LOOPBACK, "PYSPARK_PYTHON": sys.executable}
        spark = child("spark", work, 0, where)
    same = not spark["problem"] and not local["problem"] and equal(kept, left)
    for on, found in (("one process", local), ("two workers", spark)):
        print(f"{on}: {found['seconds']:.1f} s, peak {found['peak_gb']:.2f} GB. {found['problem']}")
    numbers = {"local_seconds": local["seconds"], "spark_seconds": spark["seconds"], "peak_gb": spark["peak_gb"]}
    return {"rows": rows, **numbers, "answers_equal": same}


def main() -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--judge-rows", type=int)
    parser.add_argument("--child", choices=("build", "process", "spark", "score", "judge"))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.child:
        match given.child:
            case "build":
                build(given.folder, given.rows)
            case "score":
                score(given.folder, given.rows)
        found = {"process": ask, "spark": ask}.get(given.child)
        answer = found(given.folder, given.child) if found else judge(given.folder) if given.child == "judge" else {}
        print(json.dumps(answer))
        return 0
    rows = given.rows or (200_000 if given.quick else 4_000_000)
    judged = given.judge_rows or (10_500_000 if given.quick else 100_000_000)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        numbers = asked(Path(scratch), rows)
        folder = Path(scratch) / "judged"
        folder.mkdir()
        child("score", folder, judged)
        decided = child("judge", folder)
    lines = decided["lines"]
    assert isinstance(lines, list)
    print("\n".join(lines))
    numbers |= {
        "judge_rows": judged,
        "judge_seconds": decided["seconds"],
        "judge_peak_gb": decided["peak_gb"],
    }
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in numbers.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
