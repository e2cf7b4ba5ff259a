"""What comes after the decision: the monitoring plan, approvals, history; and on which evidence all of it stands."""

from __future__ import annotations

from collections.abc import Iterator

from weighin.contract.monitor import Monitor, Watch
from weighin.document.blocks import Block, NotKnown, Paragraph, Points, Table
from weighin.document.material import Material
from weighin.record.history import Checked
from weighin.report.view import cell

LIMITS = {
    "drift_at_most": "drift of each column at most {}",
    "at_least": "{metric} at least {}",
    "at_most": "{metric} at most {}",
    "times_baseline_at_most": "{metric} at most {} times that of the record",
    "relative_decline_at_most": "share of the {metric} of the record that is lost at most {}",
    "error_rate_at_most": "share of failed requests at most {}",
    "latency_ms_at_most": "latency at the quantile {quantile:g} at most {} ms",
    "disagreement_at_most": "share of rows that a shadow answers otherwise at most {}",
    "no_traffic_minutes_at_most": "at most {} minutes without a request",
    "age_days_at_most": "champion for at most {} days",
}
ACTIONS = {
    "nothing": "it is recorded",
    "alert": "people are notified",
    "retrain": "a training is requested",
    "rollback": "the version before becomes champion again",
}
HOW = {"key": "signed with the key of the contract", "review": "a review on the platform"}


def monitoring(of: Material) -> Iterator[Block]:
    """Yield what is watched after the release, by the contract, and what is done about it."""
    plan = of.contract.monitor
    if plan is None:
        yield NotKnown("what is watched after the release", "write `monitor` in the contract")
    else:
        yield from _plan(plan)
    if of.contract.deploy is None:
        yield NotKnown("whether the servers serve the champion", "write `deploy` in the contract")
    yield NotKnown("when the model is reviewed again as a whole, and by whom", "people decide it beside this document")


def _plan(plan: Monitor) -> Iterator[Block]:
    evidence = plan.evidence
    rows = [(_limit(w), w.window.name.replace("-", " ") if w.window else "–", ACTIONS[w.action]) for w in plan.watch]
    rows += [(f"change of `{s.of}`, by {s.detector}", f"{s.rows:,} rows", ACTIONS[s.action]) for s in plan.streams]
    yield Table("What is watched", ("what must hold", "in which rows", "otherwise"), tuple(rows))
    points = [
        f"The monitor runs every {evidence.every_minutes:g} minutes. It acts after {evidence.consecutive_windows} "
        f"windows in a row, at {evidence.false_alarms_per_month:g} expected false alarms in 30 days.",
        f"The prediction log keeps rows for {plan.log.retain_days:g} days.",
    ]
    alerts = ", ".join(a.to for a in plan.alerts)
    points.append(
        f"People are notified by: {alerts}." if alerts else "Nobody is notified: the contract has no `monitor.alerts`."
    )
    if plan.canary:
        steps = ", ".join(f"{share:g}" for share in plan.canary.steps)
        points.append(f"Traffic moves to a new version in steps: {steps}.")
    if plan.ab_test:
        limits = ", ".join(f"`{metric.id}`" for metric in plan.ab_test.metrics)
        points.append(f"A new version is compared with the champion by outcomes of their users: {limits}.")
    yield Points(tuple(points))


def _limit(watch: Watch) -> str:
    for key, words in LIMITS.items():
        value = getattr(watch, key)
        if value is not None:
            return words.format(cell(value), metric=watch.metric, quantile=watch.quantile)
    raise AssertionError("a watch has one limit, which the contract demands")


def approvals(of: Material) -> Iterator[Block]:
    """Yield who approved of this record, who may, and what else a promotion asks for."""
    demands = of.contract.promotion
    if of.approvals:
        rows = tuple((a.name, HOW[a.how], a.said, a.comment or "–") for a in of.approvals)
        yield Table("Approvals of this record", ("who", "how", "when, or where", "comment"), rows)
    else:
        yield NotKnown("who approves of this release", "sign with `weighin approve`, and write the documents again")
    if demands.approvers:
        named = ", ".join(a.name for a in demands.approvers)
        yield Paragraph(f"The contract names as approvers: {named}.")
    points = [
        f"The policy `{demands.policy}` decides last." if demands.policy else "No policy decides beyond the verdict."
    ]
    if demands.image_built_by:
        points.append(f"The image that judges must be built by `{demands.image_built_by}`.")
    yield Points(tuple(points))


def history(of: Material) -> Iterator[Block]:
    """Yield who was champion before, as the registry says it, and the values of the last releases."""
    if of.history is None:
        yield NotKnown("who was champion before, and by whom", "write with `--history` where the registry is reached")
    elif of.history:
        columns = ("entry", "what", "version", "when", "by", "record", "remark")
        yield Table("Changes of champion", columns, tuple(map(_entry, of.history)))
    else:
        yield Paragraph("The ledger has no entry: nothing was promoted yet.")
    trend = of.answer.trend
    if trend:
        rows = tuple((name, day, *values) for name, day, values in trend.rows)
        yield Table("The last releases", ("release", "when", *trend.metrics), rows, trend.note)


def _entry(one: Checked) -> tuple[str, ...]:
    entry = one.entry
    what = f"{entry.action}{' (EMERGENCY)' if entry.emergency else ''}"
    said = [f"DOES NOT HOLD: {p}" for p in one.problems] + ([entry.reason] if entry.reason else [])
    said += [f"signed by {one.signed_by}"] if one.signed_by else []
    record = f"`{entry.record}`" if entry.record else "none"
    versions = f"{entry.before or 'none'} → {entry.after}"
    return str(entry.number), what, versions, entry.created, entry.actor, record, "; ".join(said) or "–"


def evidence(of: Material) -> Iterator[Block]:
    """Yield the digests of what all of it stands on, and how to check them."""
    record, run = of.record, of.record["run"]
    rows = [
        ("record", f"`{of.digest}`"),
        ("signature", f"by the key `{of.signed_by}`" if of.signed_by else "not looked at"),
        ("contract", f"`{record['contract']['digest']}`"),
        ("subject", f"`{record['subject']}`"),
        ("image", f"`{record['image']}`" if record["image"] else "none: local environment"),
        ("commit", f"`{run['commit']}`" if run["commit"] else "not known"),
        ("run", f"`{run['url']}`" if run["url"] else "not known"),
        ("decided", run["created"] or "not known"),
        ("registry", "a file of one machine or run" if record["ephemeral_registry"] else "a server"),
    ]
    yield Table("", ("", ""), tuple(rows))
    yield Paragraph(
        "Every number of this document stands in the record. The command "
        f"`weighin verify record.json --digest {of.digest}` decides every check again from what was measured."
    )
