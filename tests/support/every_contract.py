"""Contracts that together take every alternative of the contract's models: made from the models themselves.

An alternative is a member of a union, a value of a `Literal`, a boolean, a key that is there or absent, a list or
mapping that is empty or not. A new key is taken without a change here, unless a validator wants something beside it:
then the error names the alternative, and its companions are written into `WITH`.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from weighin.contract import Contract
from weighin.contract.reading import _repeated_checks


class _Absent:
    def __deepcopy__(self, memo: dict[int, Any]) -> _Absent:
        return self


ABSENT = _Absent()


SAMPLES: tuple[Any, ...] = (
    *("a", "A", "/a", "a:b", "a/b", "http://a/b", "last 7 days", "roc_auc", "2026-01-01", "2026-01-02T00:00:00Z"),
    *(0.5, 0.3, 1, 2, 30, 100, 1000),
)
"""Values of a scalar: the first that its type allows is taken. `a` is a column, a file and a name."""
COLUMNS: dict[str, Any] = {
    "a": {"type": "float"},
    "b": {"type": "integer"},
    "c": {"type": "string"},
    "t": {"type": "timestamp", "time_zone": "UTC", "role": "time"},
    "g": {"type": "date", "role": "group"},
    "w": {"type": "float", "role": "weight"},
    "y": {"type": "integer", "role": "target"},
    "x": {"type": "float", "role": "other"},
}
BASE: dict[str, Any] = {
    "version": 1,
    "as_of": "2026-01-02T00:00:00Z",
    "model": {"name": "m", "task": "binary", "target": "y"},
    "data": {"holdout": "holdout.parquet", "columns": COLUMNS},
    "gates": {"performance": {"checks": [{"metric": "roc_auc", "at_least": 0.6}]}},
}
ACCURACY = [{"metric": "accuracy", "at_least": 0.5}]
MULTICLASS = {"model.task": "multiclass", "model.classes": [1, 2, 3], "gates.performance.checks": ACCURACY}
REGRESSION = {"model.task": "regression", "gates.performance.checks": [{"metric": "mae", "at_most": 1}]}
EXAMPLES: dict[str, dict[str, Any]] = {
    "Model": {"name": "m", "task": "binary", "target": "y"},
    "SlashCommand": {"allowed": ["U024BE7LH"], "repository": "a/b"},
    "Predictions": {"predictions": "a", "version": "1"},
    "Score": {"pattern": "a"},
    "TextDrift": {"length_at_most": 0.5},
    "AbsoluteCheck": {"metric": "accuracy", "at_least": 0.5},
    "BaselineCheck": {"metric": "brier", "against": "champion", "margin": 0.1},
    "SliceCheck": {"metric": "average_precision", "margin": 0.1, "column": "b", "values": [1]},
    "FairnessCheck": {"column": "b", "values": [1, 2], "measure": "demographic_parity", "at_most": 0.2},
    "Gates": {"performance": {"checks": [{"metric": "roc_auc", "at_least": 0.6}]}},
    "ConditionalRule": {"name": "a", "when": "a > 0", "minimum": 0.3},
    "LabelPlan": {"plan": "a.json", "given": "a"},
    "RecordedCheck": {"metric": "accuracy", "margin": 0.1},
    "Explainability": {"forbidden": ["a"]},
    "TargetBy": {"column": "b", "values": [1], "at_most": 0.2},
    "Load": {
        "rate": 10,
        "seconds": 20,
        "within": {"latency_ms": 100, "share_at_least": 0.5},
        "error_rate_at_most": 0.5,
        "memory_mb_at_most": 1000,
    },
    "Peak": {"rate": 20, "latency_ms": 100, "share_at_least": 0.5},
    "Stress": {"rate_at_most": 20, "max_sustainable_rate_at_least": 10},
    "Shadow": {"error_rate_at_most": 0.5},
    "Fresh": {"column": "t", "hours_at_most": 24},
    "Comparison": {"column": "a", "greater_than": "x"},
    "UniqueTogether": {"columns": ["a", "b"]},
    "Dates": {"from": "2025-12-01", "to": "2026-01-01"},
    "Query": {"connection": "A", "table": "a"},
    "PredictionLog": {"path": "log"},
    "Window": {"hours": 24},
    "Watch": {"window": {"hours": 24}, "error_rate_at_most": 0.5},
    "Alert": {"to": "slack", "address": "A"},
    "Canary": {"steps": [0.5], "command": ["a", "{share}"], "error_rate_increase_at_most": 0.5},
    "AbMetric": {"outcome": "a", "margin": 0.5},
    "Waiver": {"check": "performance/changed", "limit": 0.5, "owner": "a", "reason": "a", "expires": "2026-01-03"},
}
"""Values of a model that needs more than its required keys."""
KEYS = {
    "data.columns": "x",
    "gates.drift.columns": "a",
    "gates.performance.scores.a.json_schema": "type",
    "gates.performance.scores.a.arguments": "pattern",
}
"""Keys of mappings, where not every name will do."""
VALUES: dict[str, Any] = {
    "slash_command.allowed": "U024BE7LH",
    "slash_command.workflow": "a.yml",
    "model.target": "y",
    "weight": "w",
    "group.column": "t",
    "model.anchor": "models:/m/1",
    "candidate.version": "1",
    "champion.version": "1",
    "forecast.naive": "x",
    "forecast.seasonal_naive": "x",
    "forecast.scale": "x",
    "json_schema.type": "object",
    "scores.a.least": 1,
    "scores.a.largest": 2,
    "fairness.metric": "words",
    "compare.greater_than": "x",
    "compare.equal_to": "x",
    "compare.at_least": "x",
    "fresh.column": "t",
    "load.seconds": 20,
    "load.server.url": "http://a/b",
    "load.server.predictions": "/a",
    "load.server.template": "{{rows}}",
    "load.peak.rate": 20,
    "load.peak.seconds": 20,
    "load.stress.rate_at_most": 20,
    "slices.name": "n",
    "champion_as_recorded.metric": "accuracy",
    "labels.plan": "a.json",
    "joint.auc_at_most": 0.6,
    "texts.a.auc_at_most": 0.6,
    "success.denominator": "b",
    "guards.denominator": "b",
    "waivers.check": "performance/changed",
    "waivers.expires": "2099-01-01",
    "window.to": "2026-01-01",
    "window.from": "2025-12-01",
}
"""Values of a key (the end of its path), where the first sample of its type will not do."""
TEXT: dict[str, Any] = {
    "model.task": "text",
    "data.columns.y.type": "string",
    "gates.performance.checks": [{"metric": "words", "at_most": 5}],
}
CHAT = {**TEXT, "data.columns.a.role": "other", "data.columns.b.role": "other"}
STREAMED = {**CHAT, "gates.load.server": {"request": "chat", "stream": True}}
SERIES = {"group": "g", "weight": ABSENT}
FORECAST = {"model.task": "forecast", "gates.performance.checks": [{"metric": "mae", "at_most": 1}], **SERIES}
RANKING = {"model.task": "ranking", "gates.performance.checks": [{"metric": "ndcg", "at_least": 0.1}], **SERIES}
INTERVAL = {
    **FORECAST,
    "model.prediction.kind": "interval",
    "gates.performance.checks": [{"metric": "coverage", "at_least": 0.5}],
}
BY_KEY = {"data.columns.x.role": "key"}
SCORE = "gates.performance.scores.a"
GIVEN = {**TEXT, **BY_KEY, f"{SCORE}.pattern": ABSENT, f"{SCORE}.given": "a", f"{SCORE}.column": "a"}
JUDGED = {**GIVEN, f"{SCORE}.least": 1, f"{SCORE}.largest": 2}
NAIVE = {"model.task": "forecast", **SERIES, "model.forecast": {"naive": "x", "seasonal_naive": "x"}, ".metric": "mae"}
STORED = {"gates.drift": {}, "data.current": "current.parquet"}
CSV = {".format": "csv", ".path": "a.csv"}
OTHER_LIMIT = {".error_rate_at_most": ABSENT}
GITHUB = {".address": ABSENT, ".repository": "a/b"}
WITH: dict[str, dict[str, Any]] = {
    "model.task=multiclass": MULTICLASS,
    "model.task=regression": REGRESSION,
    "model.task=text": TEXT,
    "model.task=ranking": RANKING,
    "model.task=forecast": FORECAST,
    "model.prediction.kind=text": TEXT,
    "model.prediction.kind=interval": INTERVAL,
    "model.target: absent": TEXT,
    "model.forecast.naive: str": FORECAST,
    "model.forecast.seasonal_naive: str": FORECAST,
    "model.forecast.scale: str": FORECAST,
    "model.repeats: int": TEXT,
    "candidate.predictions: absent": {**BY_KEY, ".endpoint": {"model": "a", "prompt": "a"}},
    "champion.predictions: absent": {**BY_KEY, ".endpoint": {"model": "a", "prompt": "a"}},
    "model.predict_on=spark": {"data.engine": "spark"},
    "model.candidate": BY_KEY,
    "model.champion": BY_KEY,
    "performance.scores": TEXT,
    "scores.a.pattern: absent": {".contains_any": ["a"]},
    "scores.a.contains_any: str": {".pattern": ABSENT},
    "scores.a.contains_all: str": {".pattern": ABSENT},
    "scores.a.json_schema": {f"{SCORE}.pattern": ABSENT},
    "scores.a.retrieval=precision": {".pattern": ABSENT, ".at": 1},
    "scores.a.retrieval=recall": {".pattern": ABSENT, ".at": 1},
    "scores.a.retrieval=ndcg": {".pattern": ABSENT, ".at": 1},
    "scores.a.retrieval=reciprocal_rank": {".pattern": ABSENT, ".at": 1},
    "scores.a.at: int": {".pattern": ABSENT, ".retrieval": "recall"},
    "scores.a.given: str": {**BY_KEY, ".pattern": ABSENT, ".column": "a"},
    "scores.a.column: str": {**BY_KEY, ".pattern": ABSENT, ".given": "a"},
    "scores.a.entry_point: str": {".pattern": ABSENT},
    "scores.a.mlflow=RegexMatch": {".pattern": ABSENT},
    "scores.a.mlflow=PIIDetection": {".pattern": ABSENT},
    "scores.a.mlflow=ResponseLength": {".pattern": ABSENT},
    "scores.a.arguments": {f"{SCORE}.pattern": ABSENT, f"{SCORE}.mlflow": "RegexMatch"},
    "scores.a.human: str": GIVEN,
    "scores.a.least: float": GIVEN,
    "scores.a.largest: float": GIVEN,
    "scores.a.unit: str": GIVEN,
    "scores.a.judge": JUDGED,
    "judge.reference=False": {**JUDGED, ".swap": False},
    "texts.a.length_at_most: absent": {".words_at_most": 0.5},
    "checks.against=naive": NAIVE,
    "checks.against=seasonal_naive": NAIVE,
    "slices.against=naive": {**FORECAST, **NAIVE},
    "slices.against=seasonal_naive": {**FORECAST, **NAIVE},
    "fairness.measure=score": {**TEXT, ".metric": "words"},
    "fairness.metric: str": {**TEXT, ".measure": "score"},
    "drift.texts": {"data.columns.a.type": "string"},
    "model.classes: str": {**MULTICLASS, "model.classes": ["a", "b", "c"], "data.columns.y.type": "string"},
    "model.classes: int": MULTICLASS,
    "model.prediction.kind=probabilities": MULTICLASS,
    "model.prediction.kind=label": {"gates.performance.checks": ACCURACY},
    "model.prediction.kind=value": REGRESSION,
    "data.reference: StoredProfile": STORED,
    "data.reference.profile": STORED,
    "connection: absent": {"data.engine": "spark"},
    "table: absent": {".query": "SELECT 1"},
    "query: str": {".table": ABSENT},
    "decimal=,": CSV,
    "quote: str": CSV,
    "encoding=latin-1": CSV,
    "encoding=windows-1252": CSV,
    "encoding=utf-16": CSV,
    "missing: str": CSV,
    "model.positive: str": {"data.columns.y.type": "string"},
    "rules.allowed: str": {"data.columns.x.type": "string", ".minimum": ABSENT},
    "rules.pattern: str": {"data.columns.x.type": "string", ".minimum": ABSENT},
    "rules.minimum: absent": {".maximum": 1},
    "target_by.column: absent": {".values": ABSENT, ".scores": [[0, 1]]},
    "target_by.values: absent": {".column": ABSENT, ".scores": [[0, 1]]},
    "target_by.values: empty": {".column": ABSENT, ".scores": [[0, 1]]},
    "target_by.scores: tuple": {".column": ABSENT, ".values": ABSENT},
    "data.columns.x.type=timestamp": {".time_zone": "UTC"},
    "data.columns.x.time_zone=UTC": {".type": "timestamp"},
    "unique_together: str": {"gates.data_quality.unique_together": [["a", "b"]]},
    "compare.at_least: str": {".greater_than": ABSENT},
    "compare.greater_than: absent": {".equal_to": "x"},
    "compare.equal_to: str": {".greater_than": ABSENT},
    "training_rows": {"data.training": "training.parquet"},
    "checks.at_least: absent": {".at_most": 0.5},
    "checks.at_most: float": {".at_least": ABSENT},
    "margin: absent": {".better_by": 0.1},
    "relative_margin: float": {".margin": ABSENT},
    "better_by: float": {".margin": ABSENT},
    "against=anchor": {"model.anchor": "models:/m/1"},
    "slices.column: absent": {".values": ABSENT, ".query": "a > 0", ".name": "a"},
    "slices.values: absent": {".ranges": [[0, 1]]},
    "slices.values: empty": {".ranges": [[0, 1]]},
    "slices.ranges: tuple": {".values": ABSENT},
    "slices.query: str": {".values": ABSENT, ".column": ABSENT, ".name": "a"},
    "slices.name: str": {".values": ABSENT, ".column": ABSENT, ".query": "a > 0"},
    "fairness.measure=mean_error": REGRESSION,
    "fairness.measure=mae": REGRESSION,
    "performance.labels": BY_KEY,
    "performance.champion_as_recorded": {"gates.performance.checks": [EXAMPLES["AbsoluteCheck"]]},
    "explainability.forbidden: absent": {".share_at_most": 0.5},
    "explainability.forbidden: empty": {".share_at_most": 0.5},
    "server.request=template": {".template": "{{rows}}"},
    "server.request=chat": CHAT,
    "server.request=responses": CHAT,
    "server.stream=True": {**CHAT, ".request": "chat"},
    "load.answers_may_differ=True": TEXT,
    "load.first_token": STREAMED,
    "against_champion.first_token_ratio_at_most: float": STREAMED,
    "server.request=v2": {".path": "/v2/models/m/infer"},
    "server.template": {".request": "template"},
    "server.url: str": {"gates.load.memory_mb_at_most": ABSENT},
    "load.memory_mb_at_most: absent": {"gates.load.server": {"url": "http://a/b"}},
    "gates.load.stress": {"gates.load.profile": "full"},
    "clean_environment=True": {"gates.load.profile": "full"},
    "memory_growth_mb_at_most: float": {"gates.load.profile": "full"},
    "recovery_seconds_at_most: float": {".profile": "full", ".stress": EXAMPLES["Stress"]},
    "gates.shadow": {"monitor": {"log": {"path": "log"}, "watch": [EXAMPLES["Watch"]]}},
    "shadow.token_f1_at_least: float": {**TEXT, ".disagreement_at_most": 0.5},
    "shadow.tolerance: float": {**REGRESSION, ".disagreement_at_most": 0.5},
    "promotion.approvers": {"promotion.policy": "policy.rego"},
    "log.path: absent": {".connection": "A"},
    "log.connection: str": {".path": ABSENT},
    "watch.window: absent": {".age_days_at_most": 30, ".error_rate_at_most": ABSENT},
    "window.rows: int": {".hours": ABSENT, ".rows_at_least": 1},
    "window.hours: absent": {".rows": 1000},
    "watch.drift_at_most: float": OTHER_LIMIT,
    "watch.columns: str": {**OTHER_LIMIT, ".drift_at_most": 0.5},
    "watch.metric: str": {**OTHER_LIMIT, ".at_least": 0.5},
    "watch.at_least: float": {**OTHER_LIMIT, ".metric": "roc_auc"},
    "watch.at_most: float": {**OTHER_LIMIT, ".metric": "roc_auc"},
    "watch.times_baseline_at_most: float": {**OTHER_LIMIT, ".metric": "log_loss"},
    "watch.relative_decline_at_most: float": {**OTHER_LIMIT, ".metric": "roc_auc"},
    "watch.error_rate_at_most: absent": {".latency_ms_at_most": 100},
    "watch.latency_ms_at_most: float": OTHER_LIMIT,
    "watch.disagreement_at_most: float": OTHER_LIMIT,
    "watch.no_traffic_minutes_at_most: float": {**OTHER_LIMIT, ".window": ABSENT},
    "watch.age_days_at_most: float": {**OTHER_LIMIT, ".window": ABSENT},
    "alerts.to=pagerduty": {".secret": "A"},
    "alerts.to=webhook": {".secret": "A"},
    "alerts.to=github": GITHUB,
    "alerts.address: absent": {**GITHUB, ".to": "github"},
    "alerts.secret: str": {".to": "webhook"},
    "alerts.repository: str": {".to": "github", ".address": ABSENT},
    "canary.error_rate_increase_at_most: absent": {".latency_ms_at_most": 100},
    "canary.metric: str": {".metric_drop_at_most": 0.1},
    "success.kind=ratio": {".denominator": "b"},
    "success.denominator: str": {".kind": "ratio"},
    "success.cap: float": {".kind": "mean"},
    "guards.kind=ratio": {".denominator": "b"},
    "guards.denominator: str": {".kind": "ratio"},
    "guards.cap: float": {".kind": "mean"},
    "outcomes.connection: str": {".path": ABSENT},
    "canary.metric_drop_at_most: float": {".metric": "roc_auc"},
}
"""What else has to stand in a contract beside an alternative, by the end of its name, or of a key on the way to it.

A place that begins with a dot lies beside the alternative.
"""

NEVER = (
    "model.champion.version: absent",
    *("columns.x.allowed: empty", "columns.x.rules.allowed: empty", "load.batch_rows: empty"),
    # YAML's yes and no, which are refused with the reason.
    *("model.classes=True", "model.classes=False", "columns.x.allowed=True", "columns.x.allowed=False"),
)
"""Alternatives of a type that a validator refuses."""

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Alternative:
    """One thing that can be written at a place of the contract.

    name    as it is told: `model.task=binary`
    within  the models that must stand on the way to it, and whether another could stand there as well
    value   what is written; `ABSENT` where nothing is
    """

    path: Place
    name: str
    within: tuple[tuple[Place, type[BaseModel], bool], ...]
    value: Any

    @property
    def place(self) -> str:
        return dotted(self.path)


@dataclass
class Made:
    """A contract, as YAML holds it, with the alternatives that it was made for."""

    raw: dict[str, Any]
    takes: list[Alternative] = field(default_factory=list)


def dotted(path: Place) -> str:
    return ".".join(str(part) for part in path if not isinstance(part, int))


def alternatives() -> list[Alternative]:
    """Every alternative that the models of the contract have."""
    return list(_of_model(Contract, (), ()))


def _of_model(model: type[BaseModel], path: Place, within: Any) -> Iterator[Alternative]:
    for name, info in model.model_fields.items():
        at = (*path, info.alias or name)
        if not info.is_required():
            yield Alternative(at, f"{dotted(at)}: absent", within, ABSENT)
        yield from _of(_whole(info), at, within, info)


def _whole(info: FieldInfo) -> Any:
    # The order of the members does not matter to pydantic, and `Annotated` takes no empty list.
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _of(
    annotation: Any, path: Place, within: Any, info: FieldInfo | None, *, among: bool = False
) -> Iterator[Alternative]:
    plain, origin, arguments = _plain(annotation), get_origin(_plain(annotation)), get_args(_plain(annotation))
    place = dotted(path)
    if origin in (Union, types.UnionType):
        for member in arguments:
            if member is not type(None):
                others = [m for m in arguments if m not in (member, type(None))]
                yield from _of(member, path, within, info, among=bool(others))
    elif origin is Literal or plain is bool:
        for value in arguments if origin is Literal else (True, False):
            yield Alternative(path, f"{place}={value}", within, value)
    elif isinstance(plain, type) and issubclass(plain, BaseModel):
        yield Alternative(path, f"{place}: {plain.__name__}", within, example(plain, path))
        yield from _of_model(plain, path, (*within, (path, plain, among)))
    elif origin is dict:
        key = KEYS.get(place) or _sample(arguments[0], path)
        yield from _of(arguments[1], (*path, key), within, None)
    elif origin is tuple and arguments[1:] == (...,):
        if _allows(annotation, []):
            yield Alternative(path, f"{place}: empty", within, [])
        yield from _of(arguments[0], (*path, 0), within, None)
    else:
        wanted = _whole(info) if info is not None else annotation
        kind = getattr(plain, "__name__", str(plain))
        yield Alternative(path, f"{place}: {kind}", within, _sample(plain, path, annotation, wanted))


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _allows(annotation: Any, value: Any) -> bool:
    try:
        _adapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _sample(annotation: Any, path: Place, *also: Any) -> Any:
    """Return a value of any type; of a union, of its first member."""
    place = dotted(path)
    given = next((v for end, v in VALUES.items() if f".{place}".endswith(f".{end}")), None)
    if given is not None:
        return given
    plain, origin, arguments = _plain(annotation), get_origin(_plain(annotation)), get_args(_plain(annotation))
    if origin in (Union, types.UnionType):
        return _sample(next(m for m in arguments if m is not type(None)), path)
    if origin is Literal:
        return arguments[0]
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return example(plain, path)
    if origin is tuple and arguments[1:] == (...,):
        return [_sample(arguments[0], path)]
    if origin is dict:
        return {KEYS.get(place) or _sample(arguments[0], path): _sample(arguments[1], path)}
    tuples = ([0.5, 1.5],) if origin is tuple else ()
    strict = [v for v in (*tuples, *SAMPLES) if all(_allows(a, v) for a in (annotation, *also))]
    # Text that looks like a number is a number to pydantic, and none of the samples is one.
    assert strict, f"{place}: no value of SAMPLES is a {annotation}; add one to VALUES"
    return strict[0]


def example(model: type[BaseModel], path: Place) -> dict[str, Any]:
    """Return a value of a model: `EXAMPLES`, or its required keys."""
    if model.__name__ in EXAMPLES:
        return copy.deepcopy(EXAMPLES[model.__name__])
    fields = model.model_fields.items()
    found = {
        info.alias or name: _sample(_whole(info), (*path, info.alias or name))
        for name, info in fields
        if info.is_required()
    }
    assert _allows(model, found), f"{dotted(path)}: {model.__name__} needs more than {sorted(found)}: see EXAMPLES"
    return found


def problem(raw: dict[str, Any]) -> str:
    """Why something is no contract; empty where it is one."""
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        return "; ".join(f"{dotted(e['loc'])}: {e['msg']}" for e in error.errors())
    return "; ".join(_repeated_checks(contract, Path()))


def holds(raw: dict[str, Any], one: Alternative) -> bool:
    """Whether a contract takes an alternative."""
    at: Any = raw
    on_the_way = {path: model for path, model, among in one.within if among}
    for depth, part in enumerate(one.path):
        if isinstance(at, dict) and at.get(str(part), ABSENT) is not ABSENT:
            at = at[str(part)]
        elif isinstance(at, list) and part == 0 and at:
            at = at[0]
        else:
            return one.value is ABSENT and depth == len(one.path) - 1
        wanted = on_the_way.get(one.path[: depth + 1])
        if wanted is not None and not _allows(wanted, at):
            return False
    if isinstance(one.value, dict):
        return isinstance(at, dict) and one.value.keys() <= at.keys()
    return bool(type(at) is type(one.value) and at == one.value)


def put(raw: dict[str, Any], path: Place, value: Any, within: Any = ()) -> None:
    """Write a value at a place, and on the way to it the models that are missing."""
    at: Any = raw
    on_the_way = {place: model for place, model, _ in within}
    for depth, part in enumerate(path):
        last, here = depth == len(path) - 1, path[: depth + 1]
        if isinstance(part, int):
            at.extend([] if at else [ABSENT])
            key: Any = 0
        else:
            key = part
            at.setdefault(key, ABSENT)
        wanted = on_the_way.get(here)
        if last:
            if value is ABSENT:
                at.pop(key)
            else:
                at[key] = copy.deepcopy(value)
            return
        if wanted is not None and (at[key] is ABSENT or not _allows(wanted, at[key])):
            at[key] = example(wanted, here)
        elif at[key] is ABSENT or (isinstance(path[depth + 1], int) and not isinstance(at[key], list)):
            at[key] = [] if isinstance(path[depth + 1], int) else {}
        at = at[key]


def _companions(one: Alternative) -> Iterator[tuple[str, Any]]:
    parts = one.place.split(".")
    names = [".".join(("", *parts[: n + 1])) for n in range(len(parts))] + [f".{one.name}"]
    for end, companions in WITH.items():
        if any(name.endswith(f".{end}") for name in names):
            yield from companions.items()


def _taking(raw: dict[str, Any], one: Alternative) -> dict[str, Any]:
    found = copy.deepcopy(raw)
    put(found, one.path, one.value, one.within)
    for place, value in _companions(one):
        own = one.path[:-1] if isinstance(one.path[-1], str) else one.path[:-2]
        beside = (*own, place[1:]) if place.startswith(".") else tuple(place.split("."))
        put(found, beside, value)
    return found


def covering() -> list[Made]:
    """Return contracts that take every alternative. Errors: `AssertionError` with those that none can take."""
    made, refused = [Made(copy.deepcopy(BASE))], []
    for one in alternatives():
        wrong = _take(one, made)
        never = any(f".{one.name}".endswith(f".{end}") for end in NEVER)
        if never != bool(wrong):
            refused.append(f"{one.name}: {wrong or 'a contract can take it, and NEVER says that none can'}")
    assert not refused, "say in tests/support/every_contract.py what goes with:\n" + "\n".join(refused)
    return made


def _take(one: Alternative, made: list[Made]) -> str:
    """Write an alternative into one of the contracts, or into a new one; returns why none can take it."""
    for each in made:
        if holds(each.raw, one):
            each.takes.append(one)
            return ""
    for each in made:
        found = _taking(each.raw, one)
        if all(holds(found, other) for other in (*each.takes, one)) and not problem(found):
            each.raw = found
            each.takes.append(one)
            return ""
    found = _taking(BASE, one)
    wrong = problem(found) or ("" if holds(found, one) else "it is not there")
    if not wrong:
        made.append(Made(found, [one]))
    return wrong
