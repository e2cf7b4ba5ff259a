"""The holdout whose labels come in by and by: the plan that says which rows count, and the labels that are there.

A plan is no list that anybody may edit: the order of all rows follows from the key columns of the holdout alone, which
of them are drawn from what candidate and champion decide, and both are computed again wherever labels are used. Labels
count in that order, up to the first row that has none: a row that nobody could label may not be left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from weighin.canonical import canonical, digest, read_json
from weighin.contract import Check, checks
from weighin.contract.checks import MetricRule
from weighin.contract.columns import Column
from weighin.contract.gates import LabelPlan
from weighin.contract.models import Contract
from weighin.contract.rules import column_rules
from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.typed import typed
from weighin.errors import EvidenceError, NotEvaluated
from weighin.model.labels import Truth, scored, truth_of
from weighin.outcome import Direction, Limit
from weighin.stats.intervals import Codes
from weighin.stats.label_plan import Pool, labels_needed, order
from weighin.stats.scored import Bools
from weighin.untrusted import JsonDict

if TYPE_CHECKING:
    from weighin.suites.evidence import Evidence

SCHEMA = "weighin/label-plan/v1"
ROWS_AT_MOST = 10_000_000
"""Rows of a holdout that a plan is made of."""
KEYS = "keys of the holdout"
"""What the digest that the order follows from is of."""
AGAIN = "Run `weighin labels plan` again; labels of rows that are drawn again keep their worth."


@dataclass(frozen=True)
class Facts:
    """What a plan follows from.

    keys       the key columns of the holdout, in file order
    decisions  role -> (rows,) what it decides; of `random` none is needed
    differ     (rows,) which rows candidate and champion decide differently
    """

    keys: pa.Table
    decisions: dict[str, Codes]
    differ: Bools

    @cached_property
    def by_key(self) -> Codes:
        """(rows,) numbers of the rows, sorted by their keys: where they are in the file changes no plan."""
        names = sorted(self.keys.column_names)
        texts = pa.table({name: self.keys[name].cast(pa.string()) for name in names})
        found = pc.sort_indices(texts, sort_keys=[(name, "ascending") for name in names])
        return np.asarray(found.to_numpy(), dtype=np.int64)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digests that a plan holds, by what they are of."""
        rows = pa.array(self.by_key)
        columns = [
            json.dumps([n, self.keys[n].cast(pa.string()).take(rows).to_pylist()])
            for n in sorted(self.keys.column_names)
        ]
        of = {f"decisions of the {r}": digest(codes[self.by_key].tobytes()) for r, codes in self.decisions.items()}
        return {KEYS: digest("\n".join(columns).encode()), **of}


@dataclass(frozen=True)
class Plan:
    """Which rows are drawn, and in which order.

    listed  draws that were given to people to label, the first of the order
    batch   draws that are labelled together
    """

    pool: Pool
    digests: dict[str, str]
    listed: int
    batch: int

    @property
    def seed(self) -> int:
        """Of the order. It follows from the keys alone, so that no model has a say in it."""
        return int(hashlib.sha256(self.digests[KEYS].encode()).hexdigest()[:12], 16)

    def order(self, facts: Facts) -> Codes:
        """Return the numbers of the rows, in the order of their draws."""
        return facts.by_key[order(self.pool, facts.differ[facts.by_key], self.seed)]

    def to_json(self) -> JsonDict:
        """Return the content of the plan's file."""
        pool = self.pool
        return {
            "schema": SCHEMA,
            "design": pool.design,
            "same_share": pool.same_share,
            "rows": pool.rows,
            "rows_decided_differently": pool.differ,
            "tightest": pool.tightest,
            "listed": self.listed,
            "batch": self.batch,
            "seed": self.seed,
            "digests": self.digests,
        }

    @staticmethod
    def read(path: Path) -> Plan:
        """Return the plan of a file. Errors: `NotEvaluated` where it is missing, damaged or not one of ours."""
        try:
            value = read_json(path, SCHEMA, 2**20)
            pool = Pool(
                value["design"],
                int(value["rows"]),
                int(value["rows_decided_differently"]),
                float(value["same_share"]),
                int(value["tightest"]),
            )
            found = Plan(
                pool, {str(k): str(v) for k, v in value["digests"].items()}, int(value["listed"]), int(value["batch"])
            )
            sound = 1 <= pool.tightest <= max(1, pool.rows) and 0 <= found.listed <= pool.rows and found.batch >= 1
            if not sound or found.to_json() != value:
                raise ValueError("numbers that do not go together")
        except EvidenceError as error:
            raise NotEvaluated(f"no label plan: {error.fact}", path.name, "Run `weighin labels plan`.") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotEvaluated("a damaged label plan", path.name, AGAIN) from error
        return found


@dataclass(frozen=True)
class Labelled:
    """The rows of the holdout whose labels count.

    rows     (n,) their numbers, in the order of their draws
    truth    (n,) their labels, as metrics take them
    differ   (n,) which of them candidate and champion decide differently
    waiting  labels of later draws, which count when those before them are there
    """

    plan: Plan
    rows: Codes
    truth: Truth
    differ: Bools
    waiting: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of the plan, and of the labels that count with the rows that they are of: what a record says of them."""
        rows, codes = (np.asarray(values, dtype=np.int64).tobytes() for values in (self.rows, self.truth))
        return {"label_plan": digest(canonical(self.plan.to_json())), "labels": digest(rows + codes)}


def facts_of(evidence: Evidence) -> Facts:
    """Return what a plan of the holdout follows from. Errors: `NotEvaluated`."""
    contract, labels = evidence.contract, _labels(evidence.contract)
    rows = int(evidence.subject.data.get("holdout", {}).get("rows", 0))
    if rows > ROWS_AT_MOST:
        said = f"{rows:,} rows, and a plan is made of at most {ROWS_AT_MOST:,}"
        raise NotEvaluated(said, "data.holdout", "Take a random sample of them as the holdout.")
    names = [name for name, column in contract.data.columns.items() if column.role == "key"]
    keys = typed(evidence.columns("holdout", *names), contract.data.columns, "data.holdout")
    if any(keys[name].null_count for name in names):
        raise NotEvaluated("a key is missing", "data.holdout", "Each row needs its whole key to get a label.")
    twice = int(keys.to_pandas().duplicated(names).sum())
    if twice:
        raise NotEvaluated(f"{twice:,} keys occur twice", "data.holdout", "Each row needs a key of its own.")
    roles = ("candidate", "champion") if evidence.subject.champion is not None else ("candidate",)
    if labels.design == "random" and len(roles) == 1:
        return Facts(keys, {}, np.zeros(keys.num_rows, dtype=bool))
    if len(roles) == 1:
        raise NotEvaluated(
            "there is no champion yet, and the plan is of rows that both decide differently",
            "gates.performance.labels",
            "Write `design: random`.",
        )
    decided = {role: decisions(evidence, role) for role in roles}
    return Facts(keys, decided, decided["candidate"] != decided["champion"])


def decisions(evidence: Evidence, role: str) -> Codes:
    """Return what a role decides of each row of the holdout, as class codes; shape (rows,). Errors: `NotEvaluated`."""
    contract, answered = evidence.contract, evidence.predictions(role, "holdout")
    rows = scored(np.zeros(len(answered)), answered, None, contract.model, contract.threshold)
    return rows.decision.astype(np.int64)


def labelled(evidence: Evidence) -> Labelled:
    """Return the labels of the holdout that count. Errors: `NotEvaluated` where plan, table and labels do not fit."""
    contract, labels = evidence.contract, _labels(evidence.contract)
    folder = evidence.file.folder
    plan, facts = Plan.read(folder / labels.plan), facts_of(evidence)
    _must_be_of(plan, facts, contract)
    drawn = plan.order(facts)[: plan.listed]
    return _joined(plan, facts, drawn, labels_at(contract, labels, folder), contract)


def pool_of(contract: Contract, facts: Facts) -> tuple[Pool, int]:
    """Return what is drawn from, and about how many labels settle the comparison with the least margin.

    All of it follows from the contract and the unlabelled table, also where the interval is tightest.
    """
    wanted, rows, differ = _labels(contract), len(facts.differ), int(facts.differ.sum())
    margins = [abs(check.limit.value) for check in _of_accuracy(contract)]
    needed = labels_needed(differ, rows, min(margins, default=0.0), contract.alpha)
    if wanted.design == "random":
        needed = math.ceil(needed * rows / max(1, differ))
    elif wanted.design == "stratified":
        needed = math.ceil(needed / (1 - wanted.same_share))
    most = differ if wanted.design == "disagreement" else rows
    needed = max(1, min(needed, most))
    same = 1 - wanted.same_share if wanted.design == "stratified" else 1.0
    # The interval counts the labels of rows decided differently; of `random` all of them.
    return Pool(wanted.design, rows, differ, wanted.same_share, max(1, math.floor(needed * same))), needed


def _of_accuracy(contract: Contract) -> list[Check]:
    """Return the comparisons that a plan measures by itself."""
    return [
        check
        for check in checks(contract, "performance")
        if isinstance(check.rule, MetricRule)
        and (check.rule.metric, check.rule.against, check.rule.factor, check.rule.slice)
        == ("accuracy", "champion", 1.0, None)
    ]


def _must_be_of(plan: Plan, facts: Facts, contract: Contract) -> None:
    """Errors: `NotEvaluated` where a plan is of another table, of other decisions or by another contract."""
    labels = _labels(contract)
    now = facts.digests
    other = [name for name in {**plan.digests, **now} if plan.digests.get(name) != now.get(name)]
    if other:
        # Of other rows nobody can say whether they are decided as those were.
        said = KEYS if KEYS in other else " and ".join(sorted(other))
        raise NotEvaluated(f"the plan was made of other {said}", labels.plan, AGAIN)
    wanted = pool_of(contract, facts)[0]
    if replace(plan.pool, tightest=wanted.tightest) != wanted:
        raise NotEvaluated("the plan has another design than the contract", labels.plan, AGAIN)
    if plan.pool != wanted:
        raise NotEvaluated("the plan was made for other limits", labels.plan, AGAIN)


def labels_at(contract: Contract, labels: LabelPlan, folder: Path) -> pd.DataFrame:
    """Return the labels that are there: key columns, and the target as `label`. Errors: `NotEvaluated`."""
    columns, target = contract.data.columns, contract.model.target
    keys = [name for name, column in columns.items() if column.role == "key"]
    types = {name: columns[name].type for name in (*keys, target)}
    if not set("*?[:") & set(labels.given) and not (folder / labels.given).exists():
        # Nobody has labelled anything yet, which the sentence of the first row says.
        return pd.DataFrame({name: [] for name in (*keys, "label")})
    table = Relation.of(Files.model_validate({"path": labels.given}), folder, "duckdb", types)
    absent = [name for name in (*keys, target) if name not in table.kinds]
    if absent:
        raise NotEvaluated(
            f"no column {', '.join(absent)}", labels.given, "Labels need the key columns and the target."
        )
    found = table.run(table.expression.select(*keys, target))
    values = found[target]
    present = pc.invert(pc.is_null(values, nan_is_null=True))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        present = pc.and_kleene(present, pc.not_equal(pc.utf8_trim_whitespace(values), ""))
    found = found.filter(pc.fill_null(present, False))
    _must_be_allowed(found.select([target]), columns, target, labels.given)
    own = typed(found.select(keys), columns, labels.given).to_pandas()
    if own.isna().to_numpy().any():
        raise NotEvaluated("a label without its whole key", labels.given, "Each label needs the key of its row.")
    return own.assign(
        label=np.arange(len(own)) if not len(own) else truth_of(found[target], contract.model, labels.given)
    )


def _must_be_allowed(given: pa.Table, columns: Mapping[str, Column], target: str, place: str) -> None:
    """Errors: `NotEvaluated` where labels are none that the target's column may hold, by the SQL of data quality."""
    import duckdb

    from weighin.suites.quality_columns import rule_column

    column = columns[target]
    zero = Limit(Direction.AT_MOST, 0.0)
    kinds = [r for r in column_rules(target, column, zero) if r.kind in ("range", "allowed", "pattern")]
    if not kinds or not given.num_rows:
        return
    values = typed(given, columns, place).rename_columns(["value"])
    with duckdb.connect() as connection:
        connection.register("labels", values)
        for rule in kinds:
            query = f"SELECT count(*) FROM labels WHERE {rule_column(rule, 'value')}"  # noqa: S608 - of the contract
            kept = connection.execute(query).fetchone()
            outside = values.num_rows - (kept[0] if kept else 0)
            if outside:
                raise NotEvaluated(
                    f"{outside:,} of {values.num_rows:,} labels are outside of what `{target}` may hold ({rule.kind})",
                    place,
                    "Correct these labels: a typing error must not count as a class.",
                )


def _joined(plan: Plan, facts: Facts, drawn: Codes, given: pd.DataFrame, contract: Contract) -> Labelled:
    """Return the labels of the first draws without a gap. Errors: `NotEvaluated`; nothing is lost then."""
    place = _labels(contract).given
    keys = facts.keys.column_names
    if not len(given):
        return Labelled(plan, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), 0)
    different = given.drop_duplicates()
    contradicting = int(different.duplicated(keys).sum())
    if contradicting:
        said = f"{contradicting:,} rows have labels that contradict each other"
        raise NotEvaluated(said, place, "Look at these rows once more, and leave one label of each.")
    draws = pd.DataFrame({**{n: facts.keys[n].to_pandas() for n in keys}, "row": np.arange(len(facts.differ))})
    draws = draws.iloc[drawn].assign(draw=np.arange(len(drawn)))
    both = different.merge(draws, how="left", on=keys, validate="one_to_one")
    strange = int(both["draw"].isna().sum())
    if strange:
        said = f"{strange:,} labels are of rows that were not drawn"
        raise NotEvaluated(said, place, "Take them out: only the rows of the plan say something about all.")
    both = both.sort_values("draw", ignore_index=True)
    whole = int((both["draw"].to_numpy(np.int64) == np.arange(len(both))).sum())
    kept = both.iloc[:whole]
    rows = kept["row"].to_numpy(np.int64)
    truth: Any = kept["label"].to_numpy()
    truth = truth.astype(np.bool_ if contract.model.task == "binary" else np.int64)
    return Labelled(plan, rows, truth, facts.differ[rows], len(both) - whole)


def _labels(contract: Contract) -> LabelPlan:
    labels = contract.labels
    if labels is None:
        raise TypeError("the contract has no label plan")
    return labels
