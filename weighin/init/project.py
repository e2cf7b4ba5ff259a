"""A small repository around a contract: workflows, training, data, and no source of the engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weighin import __version__
from weighin.errors import ContractError, NotEvaluated
from weighin.init.answers import target_labels
from weighin.init.columns import draft_columns, guess_roles
from weighin.init.draft import Request
from weighin.init.tables import Table, read
from weighin.untrusted.redact import cause, keep

FILES = {
    "pull_request.yml": ".github/workflows/pull-request.yml",
    "release.yml": ".github/workflows/release.yml",
    "CODEOWNERS": ".github/CODEOWNERS",
    "Dockerfile": "Dockerfile",
    "requirements.txt": "requirements.txt",
    "Makefile": "Makefile",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "train.py.txt": "scripts/train.py",
    "conftest.py.txt": "validation_tests/conftest.py",
}
"""File of the template -> its place in the repository."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LEARNT = 0.5
"""Share of the rows that the model learns from, where no training file is given."""
TRAIN_SECONDS = 600
OF_MODEL = ("scikit-learn", "skops", "pandas", "numpy")


@dataclass(frozen=True)
class Project:
    """A repository that is to be written.

    engine  OWNER/REPOSITORY@SHA of the workflows that are called
    image   NAME@sha256:DIGEST that the Dockerfile starts from
    """

    folder: Path
    request: Request
    engine: str
    image: str

    def write(self) -> Request:
        """Write the repository, train its model where none is given; returns what its contract is drafted from.

        The current folder is the repository afterwards, so that its own registry is found.
        Errors: `ContractError` where the folder is not empty, or an address is none; `NotEvaluated` where the training
        fails.
        """
        if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}([0-9a-f]{24})?", self.engine):
            raise ContractError("no OWNER/REPOSITORY@SHA", "--engine", "Name a commit in full: a tag can be moved.")
        if not re.fullmatch(r"[\w.:/-]+@sha256:[0-9a-f]{64}", self.image):
            raise ContractError("no NAME@sha256:DIGEST", "--image", "Name the image by its digest.")
        name = self.request.name or self.folder.resolve().name
        if not NAME.fullmatch(name):
            raise ContractError("the folder's name is none for a model", str(self.folder), "Give --name.")
        if self.folder.exists() and (not self.folder.is_dir() or set(os.listdir(self.folder)) - {".git"}):
            raise ContractError(
                "the folder is not empty, and nothing is overwritten", str(self.folder), "Name another."
            )
        data = self._data()
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)
        Path("data").mkdir()
        for part, table in data.tables.items():
            pq.write_table(table, f"data/{part}.parquet")
        self._files(name, data)
        request = Request(
            Path("model_contract.yaml"),
            Path("data/holdout.parquet"),
            training=Path("data/train.parquet"),
            model=self.request.model,
            name=name,
            roles={**(self.request.roles or {}), "target": data.target},
            positive=self.request.positive,
            load=self.request.load,
            public=True,
        )
        if self.request.model:
            return request
        _train()
        return replace(request, model=f"models:/{name}@challenger")

    def _data(self) -> Data:
        if self.request.data is None:
            return _example()
        folder = self.request.data.resolve().parent
        table = read(self.request.data, folder)
        roles = guess_roles(table, self.request.roles or {}, None)
        if not roles.target:
            raise ContractError("no column is named like a target", "--target", "Name the column of the truth.")
        out = {c.name for c in draft_columns([table], roles, None) if c.out or c.role not in ("feature", "target")}
        if self.request.training is not None:
            learnt = read(self.request.training, self.request.training.resolve().parent)
            tables = {"train": _whole(learnt), "holdout": _whole(table)}
        else:
            tables = _cut(_whole(table), roles.time)
        kind = table.kinds.get(roles.target, "")
        if not kind:
            raise ContractError("the table has no such column", "--target", "Name the column that holds the truth.")
        regression = target_labels(table.sample[roles.target], kind) is None
        return Data(tables, roles.target, tuple(c for c in table.columns if c in out), regression)

    def _files(self, name: str, data: Data) -> None:
        repository, _, sha = self.engine.partition("@")
        values = {
            "@ENGINE@": repository,
            "@SHA@": sha,
            "@IMAGE@": self.image,
            "@VERSION@": __version__,
            "@NAME@": name,
            "@TARGET@": repr(data.target),
            "@NOT_FEATURES@": repr(data.out),
            "@REGRESSION@": repr(data.regression),
        }
        template = resources.files("weighin.init") / "template"
        for source, place in FILES.items():
            text = (template / source).read_text()
            # `uses: OWNER/REPOSITORY/.../FILE.yml@SHA`: the sign before the commit is a placeholder's, too.
            text = text.replace("@@SHA@", f"@{sha}")
            for placeholder, value in values.items():
                text = text.replace(placeholder, value)
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_text(text)
        needs = "".join(f"{package}=={version(package)}\n" for package in OF_MODEL)
        Path("requirements-model.txt").write_text(
            f"# What the model needs, in the versions that it is fitted with.\n{needs}"
        )


@dataclass(frozen=True)
class Data:
    """The rows of a repository.

    tables  `train` and `holdout`
    out     columns that no model is given
    """

    tables: dict[str, pa.Table]
    target: str
    out: tuple[str, ...]
    regression: bool


def _whole(table: Table) -> pa.Table:
    """Return the rows that were read. Errors: `ContractError` for more than are copied into a repository."""
    if table.rows > table.sample.num_rows:
        raise ContractError(
            f"{table.rows:,} rows are too many for a repository",
            table.path,
            "Name a part of them; the contract may then name the place of the whole (docs/reference/data.md).",
        )
    return table.sample


def _cut(rows: pa.Table, time: str) -> dict[str, pa.Table]:
    """Cut rows into those that a model learns from, and those that it is judged on: by time, or at random."""
    first = round(LEARNT * rows.num_rows)
    if time:
        order = rows.sort_by(time)
        # Rows of one moment stay together.
        first = pc.index(order[time], order[time][first]).as_py()
    else:
        order = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    return {"train": order.slice(0, first), "holdout": order.slice(first)}


def _example() -> Data:
    """Return orders that are sent back or not: made up, to be replaced."""
    random = np.random.default_rng(0)
    count = 6000
    amount = np.round(random.lognormal(4, 0.6, count), 2)
    items = random.integers(1, 9, count)
    country = random.choice(["DE", "FR", "IT", "NL"], count, p=[0.4, 0.3, 0.2, 0.1])
    days = np.sort(random.integers(0, 120, count))
    risk = -1.2 + 0.9 * np.log(amount / 50) - 0.25 * (items - 4) + 0.6 * (country == "IT")
    table = pd.DataFrame(
        {
            "order_id": np.arange(1, count + 1),
            "ordered_at": pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(days, "D"),
            "amount": amount,
            "items": items,
            "country": country,
            "returned": (random.random(count) < 1 / (1 + np.exp(-risk))).astype(int),
        }
    )
    rows = pa.Table.from_pandas(table, preserve_index=False)
    return Data(_cut(rows, "ordered_at"), "returned", ("order_id", "ordered_at"), regression=False)


def _train() -> None:
    """Run scripts/train.py. Errors: `NotEvaluated` with the place of what it printed."""
    print("train the model ...", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            [sys.executable, "scripts/train.py"], capture_output=True, timeout=TRAIN_SECONDS, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NotEvaluated(
            f"the training did not end ({cause(error)})", "scripts/train.py", "Run it by hand."
        ) from error
    if done.returncode:
        place = keep(done.stdout + done.stderr) or "nothing"
        raise NotEvaluated(
            f"the training ended with code {done.returncode}, and printed {place}",
            "scripts/train.py",
            "Correct `fit` and run it by hand, then `weighin init --data data/holdout.parquet --model ...`.",
        )
