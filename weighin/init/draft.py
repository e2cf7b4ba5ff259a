"""Draft a contract: look at the tables, ask the model, measure, and set limits from the intervals."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from weighin.contract.models import KINDS
from weighin.errors import ContractError, NotEvaluated
from weighin.init import limits
from weighin.init.answers import Answers, answers_of, target_labels
from weighin.init.columns import Draft, Roles, draft_columns, guess_roles
from weighin.init.numbers import under
from weighin.init.tables import Table, read
from weighin.init.text import Contract
from weighin.init.trial import Trial, forking
from weighin.init.windows import Split, split
from weighin.model.description import Description, describe
from weighin.model.survey import Label
from weighin.outcome import Outcome
from weighin.resolve.models import fetch
from weighin.stats.metrics import METRICS

ROLES = ("target", "key", "time", "group")
Ask = Callable[[str, str], str]
"""A question and its default -> the answer."""


@dataclass(frozen=True)
class Request:
    """What the user gave.

    path      of the contract that is drafted
    roles     role -> column; empty where nothing was said
    positive  text of the positive label
    public    whether whoever sees the repository sees the rows already
    """

    path: Path
    data: Path | None
    reference: Path | None = None
    training: Path | None = None
    model: str = ""
    name: str = ""
    roles: Mapping[str, str] | None = None
    positive: str = ""
    load: bool = True
    public: bool = False


@dataclass(frozen=True)
class Drafted:
    """A contract's text, and which of its checks do not pass on these data and this model."""

    text: str
    broken: tuple[Outcome, ...] = ()


def draft(request: Request, write: Callable[[str], None], ask: Ask | None = None) -> Drafted:
    """Draft a contract, write it, and look which of its checks do not pass.

    write  takes the text; a second time where the first is corrected
    ask    asks about what was guessed; without it guesses stand
    Errors: `ContractError`, `RegistryError`, `NotEvaluated` where the model does not answer.
    """
    folder = request.path.resolve().parent
    if request.data is None:
        raise ContractError("no table", "--data", "Name a file with labelled rows.")
    with _step("read the tables"):
        tables = [read(p, folder) for p in (request.data, request.reference) if p is not None]
        training = read(request.training, folder) if request.training else None
    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix=".weighin-init-", dir=folder)))
        known = _described(request.model, request.name, work / "model") if request.model else None
        roles = _roles(request, tables[0], known, ask)
        name = request.name or _name(request)
        columns = draft_columns(tables, roles, known)
        target = next((c for c in columns if c.name == roles.target), None)
        if target is None or target.out:
            why = target.out if target else "no such column"
            raise ContractError(
                f"the target `{roles.target}` cannot be used: {why}", "--target", "Name another column."
            )
        labels = target_labels(tables[0].sample[roles.target], target.type)
        positive = _label(request.positive, labels)
        parts = split(tables[0], tables[1] if len(tables) > 1 else None, training, roles.time)
        base = _base(name, roles, columns, parts, tables[0].rows)
        if request.public:
            base = replace(base, data={"public_data": True, **base.data}, notes={**base.notes, **PUBLIC})
        if known is None:
            answers = answers_of(labels, None, positive)
            text = _without_model(base, roles, answers).text()
            write(text)
            return Drafted(text)
        forks = stack.enter_context(forking())
        trial = Trial(request.path, work / "work", request.model, forks)
        return _measured(
            base, roles, labels, positive, trial, parts, write, _repeated(training, columns), load=request.load
        )


def _described(model: str, name: str, folder: Path) -> Description:
    """Fetch a model, and return what its files say. Errors: `ContractError`, `RegistryError`."""
    with _step("look at the model"):
        fetch(model, name or "model", folder)
        try:
            return describe(folder)
        except ValueError as error:
            raise ContractError(str(error), model, "Log it again with MLflow.") from error


def _roles(request: Request, table: Table, known: Description | None, ask: Ask | None) -> Roles:
    """Return the roles, after what the user says. Errors: `ContractError` for a column that is not there."""
    said = {role: (request.roles or {}).get(role, "") for role in ROLES}
    for role, column in said.items():
        if column and column not in table.columns:
            raise ContractError(f"the table has no column `{column}`", f"--{role}", _near(column, table.columns))
    roles = guess_roles(table, said, known)
    if ask is not None:
        for role in ROLES:
            if said[role]:
                continue
            question = f"{QUESTIONS[role]} (columns: {', '.join(table.columns[:12])})"
            answered = ask(question, getattr(roles, role))
            if answered and answered not in table.columns:
                raise ContractError(f"the table has no column `{answered}`", role, _near(answered, table.columns))
            said[role] = answered
        roles = guess_roles(table, said, known)
    if not roles.target:
        raise ContractError(
            "no column is named like a target, and none is left by the model's signature",
            "--target",
            "Name the column that holds the truth with --target.",
        )
    return roles


QUESTIONS = {
    "target": "Which column holds the truth?",
    "key": "Which column names a row, as its only one?",
    "time": "Which column says when a row was made?",
    "group": "Which column says that rows depend on each other, such as a customer?",
}


def _near(column: str, columns: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(column, columns, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"It has {len(columns):,} columns."


def _name(request: Request) -> str:
    """Return the model's name: that of the registry, or of the contract's folder."""
    if request.model.startswith("models:/"):
        named = request.model.removeprefix("models:/")
        return named.partition("@")[0] if "@" in named else named.rpartition("/")[0]
    return request.path.resolve().parent.name or "model"


def _label(text: str, labels: list[Label] | None) -> Label | None:
    """Return a label that the user wrote as text."""
    return next((v for v in labels or () if str(v) == text), text) if text else None


def _base(name: str, roles: Roles, columns: list[Draft], parts: Split, rows: int) -> Contract:
    """Return what follows from the tables alone."""
    features = [c for c in columns if not c.out and c.role == "feature"]
    if not features:
        raise ContractError("no column is left that a model could be given", "--data", "Give a table with features.")
    least = int(max(1, under(rows / 2 * 0.8 if "window" in str(parts.data["holdout"]) else rows * 0.8, 1)))
    groups = [
        f"group: {c}    # Do rows with the same {c} depend on each other? Then its values are what is counted."
        for c in roles.groups[:2]
    ]
    return Contract(
        {"name": name},
        parts.data,
        columns,
        {"data_quality": {"rows_at_least": least}},
        roles.group,
        {"data_quality.rows_at_least": "of every dataset: what is the least that a day or a month brings?"},
        {"data": parts.questions, "group": groups},
        HEAD,
    )


PUBLIC = {"data.public_data": "the rows stand in this repository: they may travel between the jobs of a workflow"}
HEAD = (
    "Drafted by `weighin init` from data and a model. Limits follow from intervals that were measured; what is",
    "commented is a question that no data answer. `weighin contract check` names mistakes, docs/reference/contract.md",
    "explains every key.",
)


def _with(base: Contract, answers: Answers, target: str, gates: Mapping[str, Mapping[str, object]]) -> Contract:
    model = {**base.model, "task": answers.task, "target": target, **answers.keys}
    notes = {f"model.{key}": note for key, note in answers.notes.items()}
    return replace(base, model=model, notes={**base.notes, **notes}, gates={**base.gates, **gates})


def _without_model(base: Contract, roles: Roles, answers: Answers) -> Contract:
    """Return a contract of the data alone: nothing is promised of a model that was not asked."""
    metrics = limits.metrics_of(answers.task, answers.kind)
    way = {m: "at_most" if METRICS[m].lower_is_better else "at_least" for m in metrics}
    asked = [
        "Run `weighin init --model ...` for limits that follow from a model, or write them:",
        "performance:",
        "  first_release: allow",
        "  checks:",
        *(f"    - {{metric: {m}, {way[m]}: ...}}" for m in metrics),
        *(f"    - {{metric: {m}, against: champion, margin: ...}}" for m in metrics),
    ]
    found = _with(base, answers, roles.target, {})
    return replace(found, questions={**found.questions, "performance": asked})


def _measured(
    base: Contract,
    roles: Roles,
    labels: list[Label] | None,
    positive: Label | None,
    trial: Trial,
    parts: Split,
    write: Callable[[str], None],
    natural: float,
    *,
    load: bool,
) -> Drafted:
    first = answers_of(labels, None, positive)
    with _step("ask the model some rows"):
        gates = {"performance": limits.loose(first.task, KINDS[first.task][0])}
        seen = trial.survey(_with(base, first, roles.target, gates).text())
    answers = answers_of(labels, seen, positive)
    wanted = _loose_gates(base, answers, parts, load=load)
    text = _with(base, answers, roles.target, wanted).text()
    with _step("measure the model" + (", and send it load for ten seconds" if load else "")):
        found = trial.measure(text)
    performance, notes, asked = limits.performance(found, answers.task, answers.kind)
    if not performance["checks"]:
        raise NotEvaluated("no metric could be measured: " + "; ".join(asked), "--data", "Give rows with labels.")
    gates = {"performance": performance}
    questions = dict(base.questions) | {"performance": [*asked, *SLICES]}
    if parts.drift:
        gates["drift"], more = limits.drift(found, _arrays(base))
        notes |= more
    if "explainability" in wanted:
        limited = limits.explainability(found)
        if limited:
            gates["explainability"] = limited
        else:
            said = (
                "; ".join(limits.unmeasured(found, "explainability")) or "one feature is nearly all that it relies on"
            )
            questions["explainability"] = [f"explainability: {{share_at_most: ...}}   # left out: {said}"]
    if load:
        served = limits.load(found)
        if served:
            gates["load"] = served
            notes["load.rate"] = "requests per second: how many do your users send?"
        else:
            said = "; ".join(limits.unmeasured(found, "load")) or "no server was measured"
            questions["load"] = [f"load: ...   # left out: {said}"]
    final = _with(base, answers, roles.target, gates)
    final = replace(final, notes={**final.notes, **notes}, questions=questions)
    with _step("check what was drafted"):
        write(final.text())
        outcomes = trial.decided(found)
        equal = {"training_rows": limits.alike(outcomes, natural), "copies": limits.copies(outcomes)}
        shares = {rule: {"share_at_most": share} for rule, share in equal.items() if share is not None}
        if shares:
            kept = {**base.gates["data_quality"], **shares}
            beside = {f"data_quality.{rule}": EQUAL[rule].format(natural) for rule in shares}
            final = replace(final, gates={**final.gates, "data_quality": kept}, notes={**final.notes, **beside})
            write(final.text())
            outcomes = trial.decided(found)
    return Drafted(final.text(), tuple(o for o in outcomes if o.blocks))


EQUAL = {
    "training_rows": "{:.2g} of the training rows equal another one, so as many of other rows do by nature",
    "copies": "so many rows repeat an earlier one: by nature, or by mistake?",
}


def _repeated(training: Table | None, columns: list[Draft]) -> float:
    """Return the share of training rows that equal another one in every column that is no key and no time."""
    if training is None:
        return 0.0
    names = [c.name for c in columns if not c.out and c.role not in ("key", "time") and c.name in training.columns]
    rows = training.sample.select([n for n in names if training.kinds[n] != "array"]).to_pandas()
    return float(rows.duplicated(keep=False).mean())


SLICES = (
    "slices: [{column: ..., values: [...], metric: ..., margin: ...}]    # which parts of the rows must not get worse?",
    "fairness: [{column: ..., values: [...], measure: error_rate, at_most: ...}]    # between which groups of people?",
)


def _loose_gates(base: Contract, answers: Answers, parts: Split, *, load: bool) -> dict[str, Mapping[str, object]]:
    """Return gates that measure everything and limit nothing."""
    gates: dict[str, Mapping[str, object]] = {"performance": limits.loose(answers.task, answers.kind)}
    if parts.drift:
        ignored = {name: {"ignore": True, "reason": "array"} for name in _arrays(base)}
        gates["drift"] = {"at_most": limits.LOOSE, **({"columns": ignored} if ignored else {})}
    features = [c for c in base.columns if not c.out and c.role == "feature"]
    if answers.kind in ("probability", "probabilities", "value") and 3 <= len(features) <= EXPLAINED:
        gates["explainability"] = {"rows": 1000, "repeats": 2, "share_at_most": 1.0}
    if load:
        gates["load"] = limits.trial_load()
    return gates


EXPLAINED = 100
"""More features are not permuted one at a time."""


def _arrays(base: Contract) -> list[str]:
    return [c.name for c in base.columns if not c.out and c.type == "array" and c.role == "feature"]


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    yield
    print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
