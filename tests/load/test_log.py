"""The log of a load, and the histogram beside it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from support.load_plans import loaded
from weighin.errors import NotEvaluated
from weighin.load import SCHEMA, read_log
from weighin.load.log import Response, log_name, write_histogram, write_log


def response(i: int, phase: str = "load", error: str = "", latency: float = 0.01) -> Response:
    return Response(phase, i / 10, i / 10 + 0.001, i / 10 + latency, error, (i, i + 1), None if error else (0.5, 1.0))


def written(folder: Path, *logs: list[Response]) -> list[Path]:
    paths = [folder / log_name("candidate", start) for start in range(len(logs))]
    for start, (path, log) in enumerate(zip(paths, logs, strict=True)):
        write_log(path, start, log)
    return paths


def test_a_log_is_read_as_it_was_written_without_the_warm_up(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, [response(0, "warm_up"), response(1), response(2, "peak", "status 500")]))
    assert log.phase.tolist() == ["load", "peak"]
    assert log.intended == pytest.approx([0.1, 0.2])
    assert log.latency == pytest.approx([0.01, 0.01])
    assert log.lateness == pytest.approx([0.001, 0.001])
    assert log.ok.tolist() == [True, False]
    assert log.errors == ("", "status 500")
    assert log.rows == ((1, 2), (2, 3))
    assert log.answers == ((0.5, 1.0), None)


def test_a_phase_is_the_part_of_the_log_with_its_name(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, [response(i, ("load", "peak", "stress")[i % 3]) for i in range(9)]))
    part = log.of("peak", "stress")
    assert part.phase.tolist() == ["peak", "stress"] * 3
    assert part.rows == tuple((i, i + 1) for i in range(9) if i % 3)
    assert len(log.of("recovery").ok) == 0


def test_blocks_are_seconds_of_a_start(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, [response(i) for i in range(25)], [response(i) for i in range(15)]))
    assert np.bincount(log.block).tolist() == [10, 10, 5, 10, 5]


@pytest.mark.parametrize("wrong", ["missing", "nonsense", "columns", "nothing"])
def test_a_log_that_cannot_be_used_is_not_evaluated(wrong: str, tmp_path: Path) -> None:
    paths = written(tmp_path, [response(1)], [response(1, "warm_up")])
    match wrong:
        case "missing":
            paths[1].unlink()
        case "nonsense":
            paths[1].write_bytes(b"nonsense")
        case "columns":
            schema = SCHEMA.remove(0)
            with pa.OSFile(str(paths[1]), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_table(schema.empty_table())
        case "nothing":
            paths = paths[1:]
    with pytest.raises(NotEvaluated):
        read_log(paths)


def percentiles(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Values in seconds, percentiles as shares, and the number of requests of a file that HdrHistogram wrote."""
    lines = [line.split() for line in path.read_text().splitlines()[2:] if line.strip() and not line.startswith("#")]
    return np.array([float(v[0]) for v in lines]) / 1e6, np.array([float(v[1]) for v in lines]), int(lines[-1][2])


def test_the_histogram_has_the_percentiles_of_the_samples(tmp_path: Path) -> None:
    latencies = np.random.default_rng(5).lognormal(-4, 1, 5_000)
    log = read_log(written(tmp_path, [response(i, latency=t) for i, t in enumerate(latencies)]))
    write_histogram(tmp_path / "latency.hgrm", log, 10)
    values, shares, count = percentiles(tmp_path / "latency.hgrm")
    assert count == 5_000
    assert len(values) > 30
    samples = np.quantile(log.latency, shares, method="inverted_cdf")
    assert values == pytest.approx(samples, rel=0.0015)
    said = re.findall(r"#\[Mean += +(\S+), StdDeviation += +(\S+)\]", (tmp_path / "latency.hgrm").read_text())
    moments = (log.latency.mean() * 1e6, log.latency.std() * 1e6)
    assert [float(v) for v in said[0]] == pytest.approx(moments, rel=0.0015)


def test_failures_stand_in_the_histogram_at_the_timeout(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, [response(i, error="status 500" if i < 5 else "") for i in range(100)]))
    write_histogram(tmp_path / "latency.hgrm", log, 10)
    values, shares, _ = percentiles(tmp_path / "latency.hgrm")
    assert values[shares <= 0.95] == pytest.approx(np.full((shares <= 0.95).sum(), 0.01), rel=0.001)
    assert values[-1] == pytest.approx(10, rel=0.001)


def test_the_generator_leaves_a_histogram_of_what_it_counted(tmp_path: Path) -> None:
    log = loaded("slow", tmp_path)
    values, _, count = percentiles(tmp_path / "load/latency-candidate-0.hgrm")
    assert count == len(log.ok) == 30
    assert values[-1] == pytest.approx(log.latency.max(), rel=0.0015)
