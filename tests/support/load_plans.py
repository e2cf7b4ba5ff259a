"""A plan for tests that change one thing of it, and a way to run it against one of the small servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from support.load_servers import running
from weighin.load import LoadLog, generate, read_log
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase

PLAN = LoadPlan(
    phases=(Phase("warm_up", 40, 0.25), Phase("load", 40, 0.75)),
    arrivals="constant",
    batch_rows=(2,),
    timeout_seconds=2,
    server_cpus=1,
    server_memory_mb=500,
    start_seconds=10,
    interface=Interface(),
    break_ms=100,
    break_share=0.5,
    lateness_ms=50,
)


def features(folder: Path) -> Path:
    """A hundred rows; the first feature is the number of the row."""
    path = folder / "features.parquet"
    rng = np.random.default_rng(0)
    pd.DataFrame({"row": np.arange(100.0), "other": rng.normal(size=100)}).to_parquet(path)
    return path


def loaded(server: str, folder: Path, service: float = 0.005, **changes: Any) -> LoadLog:
    """What the generator sees of a server."""
    with running(server, service=service) as url:
        generate(url, features(folder), replace(PLAN, **changes), Answers((0,)), folder / "load")
    return read_log([folder / "load/responses-candidate-0.arrow"])
