"""The likely reason of a cause, and what to do about it, from what the other checks of the record say.

A reason is offered only where the record speaks for it. It is a place to look at first and no finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from weighin.record.metrics import COMPARED
from weighin.report.numbers import decimals, fixed, percent
from weighin.report.sentences import metric_name
from weighin.report.view import CheckView

Checks = Mapping[str, CheckView]
DECISIONS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted")
PROBABILITIES = ("log_loss", "brier")
OWNERS = "A change of the contract needs a review by its owners."
NOT_MORE = "More data would not change it."
RAISED = "the model raised"
CANNOT = (
    (
        RAISED + r"|answers for|predictions are|ranks nothing|answers labels|was stopped after|not get healthy",
        "the model itself: it does not answer these rows as the contract expects",
        "Whoever trained the candidate asks it by hand for a few rows, and mends it.",
    ),
    (
        r"file is missing|no column|cannot be read|not a readable|no row|no label|has changed since",
        "the data: what the contract names is not there in this form",
        "Whoever provides the data restores what the sentence names.",
    ),
    (r"waiver .* has expired", "a waiver ran out", "Meet the limit, or let the contract's owners renew the waiver."),
    (r"champion|anchor|registry", "", "Whoever runs the registry looks at what the sentence names."),
)
"""What reasons of what could not be measured say, why that is likely, and who can mend it."""


def reason(key: tuple[str, ...], views: Sequence[CheckView], by_id: Checks) -> tuple[str, str]:
    """Return the likely reason of a cause (empty for none) and what to do about it.

    key    what its checks have in common
    views  its checks, the worst first
    """
    first = views[0]
    if first.status == "not_evaluated" and "no right answer" not in first.reason:
        return _cannot(first.reason)
    if first.status == "inconclusive":
        return "", _more_evidence(views)
    match key[0]:
        case "metric":
            return _metric(key[1], first, by_id)
        case "column":
            return _column(key[1], views, by_id)
        case _ if first.check.startswith("load/") and any(RAISED in v.reason for v in by_id.values()):
            return "the model itself, which raises", "Mend the model first."
        case "latency":
            return _latency(by_id)
        case "fairness":
            return "", f"Look at the rows of the group that is named, and train again. {OWNERS}"
    return _single(first, by_id)


def step_of_problem(text: str) -> str:
    """Return what to do about a problem with the evidence as a whole."""
    if "left out" in text:
        return "Run `weighin validate` without `--suite`."
    if "maintainer has to review" in text:
        return "A maintainer reviews the pull request; the files of the base decide until then."
    if "ended as cancelled" in text or "of another" in text:
        return "Re-run all jobs of the workflow."
    return "Read the log of the suite's job, and run it again."


def _cannot(text: str) -> tuple[str, str]:
    for pattern, why, step in CANNOT:
        if re.search(pattern, text):
            return why, step
    return "", "The sentence says where to look. Nothing was measured, so nothing is known to be wrong."


def _more_evidence(views: Sequence[CheckView]) -> str:
    nothing = "Nothing is known to be wrong."
    if any("failed alone" in v.reason for v in views):
        return f"{nothing} Of many checks one fails by chance now and then: validate again on more data."
    more = [(v.outcome["n_required"], v) for v in views if v.outcome["n_required"]]
    if not more:
        return f"{nothing} Only much more data, or another limit, would settle it."
    wanted, view = max(more, key=lambda pair: pair[0])
    evidence, suite = view.outcome["evidence"], view.check.partition("/")[0]
    where = {"performance": "to the holdout", "load": "of load (`gates.load.seconds`)", "drift": "to the current data"}
    missing = max(wanted - evidence["n"], 1)
    return f"{nothing} Add about {missing:,} {evidence['sampling_unit']} {where.get(suite, 'to the data')}."


def _metric(metric: str, view: CheckView, by_id: Checks) -> tuple[str, str]:
    against = compared[2] if (compared := COMPARED.fullmatch(view.check)) else "champion"
    ranking = by_id.get(f"performance/roc_auc/vs-{against}")
    holds = ranking is not None and ranking.status == "passed"
    broken = [v for v in by_id.values() if v.blocks and v.check.startswith("data_quality/holdout/")]
    again = f"Train again. {OWNERS} {NOT_MORE}"
    if "leak" in view.found:
        return "", "Look for a feature that knows the target, leave it out, and train again."
    if broken:
        return f"the holdout, {len(broken)} of whose own checks do not pass either", "Mend the holdout first."
    if metric in DECISIONS and holds:
        shares = _positive_shares(view)
        why = f"the candidate ranks as well as before{shares}, so the threshold no longer fits it"
        return why, f"Choose `gates.performance.threshold` again, or train again. {OWNERS} {NOT_MORE}"
    if metric in PROBABILITIES and holds:
        why = "the candidate ranks as well as before, so its probabilities are off: calibration"
        return why, f"Calibrate the candidate, or train again. {NOT_MORE}"
    if ranking is not None and ranking.status == "failed" and ranking.check != view.check and metric != "roc_auc":
        return f"the ranking, which is worse than the {against}'s as well", again
    whole = view if compared else by_id.get(f"performance/{metric}/vs-{against}")
    worst = _worst_slice(metric, whole, by_id) if whole else ""
    return (f"{metric_name(metric)} changed most where {worst}" if worst else ""), again


def _positive_shares(view: CheckView) -> str:
    """Return how often candidate and baseline decide positive, where the record knows."""
    shares = view.detail.get("positive_share")
    if not isinstance(shares, Mapping) or "candidate" not in shares:
        return ""
    others = "".join(f", the {role} for {_share(v)}" for role, v in shares.items() if role != "candidate")
    return f" (it decides positive for {_share(shares['candidate'])} of the rows{others})"


def _share(value: object) -> str:
    return percent(float(value)) if isinstance(value, (int, float)) else ""


def _worst_slice(metric: str, whole: CheckView, by_id: Checks) -> str:
    """Return the slice with the largest change for the worse, with that change; empty where it is no larger than what
    the interval of all rows holds.
    """
    if whole.numbers is None:
        return ""
    sign, end = (1, whole.numbers[0]) if whole.at_least else (-1, whole.numbers[2])
    found = [(sign * end, "", 0.0, 0)]
    for view in by_id.values():
        compared = COMPARED.fullmatch(view.check)
        # Small parts are judged together, so that none of them stands out.
        if compared and compared[1] == metric and compared[4] and view.numbers and "pooled" not in view.detail:
            estimate = view.numbers[1]
            found.append((sign * estimate, compared[4], estimate, decimals(*view.numbers)))
    _, part, estimate, places = min(found)
    return f"{part} ({fixed(estimate, places, signed=True)})" if part else ""


def _column(column: str, views: Sequence[CheckView], by_id: Checks) -> tuple[str, str]:
    parts = [v.check.split("/") for v in views]
    rules = [p for p in parts if p[0] == "data_quality"]
    if rules:
        kinds = {p[2] if p[2] == "reference" else p[3] for p in rules if len(p) > 3}
        datasets = ", ".join(dict.fromkeys(p[1] for p in rules))
        accept = f"Mend `{column}` in {datasets}; where the data are right, change its rules in the contract. {OWNERS}"
        if kinds & {"exists", "type", "time_zone"}:
            return "the way in which the data are written or read has changed", accept
        if kinds & {"reference", "allowed", "pattern"}:
            return "values are new, or written otherwise", accept
        return "", accept
    why = _moved(by_id)
    step = (
        f"Look where `{column}` of the current data comes from. If the world has changed, train on newer data. {OWNERS}"
    )
    return why, step


def _moved(by_id: Checks) -> str:
    drift = [v for v in by_id.values() if re.fullmatch(r"drift/[^/]+", v.check)]
    moved = [v for v in drift if v.status == "failed"]
    if len(moved) > max(2, len(drift) // 2):
        return f"another season or source of the data: {len(moved)} of {len(drift)} distances are beyond their limits"
    return ""


def _latency(by_id: Checks) -> tuple[str, str]:
    against = [v for v in by_id.values() if re.fullmatch(r"load/p[\d.]+/vs-champion", v.check)]
    step = "Make the candidate faster, or give its server more."
    if against and against[0].status == "passed" and "first release" not in against[0].method:
        return "the machine: the champion is as slow on it", "Measure again on a machine that does nothing else."
    if against and against[0].status == "failed":
        return "the model: the champion answers faster on the same machine", step
    return "", step


def _single(view: CheckView, by_id: Checks) -> tuple[str, str]:
    check = view.check
    if check.startswith("custom/"):
        name = check.removeprefix("custom/")
        return "", f"Run it where the data are: `pytest {name}`."
    if check == "performance/changed":
        return "the champion was logged again, or the training did not run", "Register the model that was meant."
    if check == "drift/prediction":
        moved = [v.check.removeprefix("drift/") for v in _drifted_features(by_id)]
        why = f"the features that drifted as well: {', '.join(moved[:3])}" if moved else ""
        return why, "Look at the features first; if the world has changed, train on newer data."
    if check == "load/wrong-answers":
        return "the server runs other code, types or versions than the batch", "Compare both for one row by hand."
    if check.startswith("explainability/"):
        return "", f"Look at what the feature knows, and train without it. {OWNERS}"
    if check.startswith("model/"):
        return "", "Log the model again as the sentence says."
    if check.startswith("data_quality/"):
        return "", f"Mend the data; where they are right, change the rule in the contract. {OWNERS}"
    return "", f"Mend what the sentence names. {OWNERS}"


def _drifted_features(by_id: Checks) -> Iterator[CheckView]:
    for view in by_id.values():
        if re.fullmatch(r"drift/[^/]+", view.check) and view.status == "failed" and view.check != "drift/prediction":
            yield view
