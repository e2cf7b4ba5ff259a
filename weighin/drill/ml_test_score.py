"""The ML Test Score (Breck, Cai, Nielsen, Salib and Sculley 2017): 28 tests, and what proves each of them here.

A test that a machine does and that left evidence counts 1, one that somebody does by hand and has written down counts
1/2. The score of a section is the sum of its seven tests, the total is the lowest of the four sections, as in the
paper. Nothing is credited without evidence: a line of the contract, an outcome of the record, a kill of the drill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from weighin.contract import Contract
from weighin.contract.ml_test_score import TestName
from weighin.untrusted import JsonDict, JsonObject

SECTIONS = ("data", "model", "infra", "monitor")
VALID = timedelta(days=365)
MEANT = (
    (5.0, "exceptional"),
    (3.0, "strong"),
    (2.0, "reasonably tested, more could be automated"),
    (1.0, "a first pass at basics"),
    (0.0, "serious holes in reliability"),
)
"""From a score on, what it means; shortened from the paper's table."""


@dataclass(frozen=True)
class Known:
    """What there is to prove something by.

    outcomes  check -> status in the last record; nothing where there is none
    killed    faults that the drill says are blocked
    """

    contract: Contract
    record: JsonObject
    outcomes: Mapping[str, str]
    killed: frozenset[str]

    def passed(self, start: str) -> int:
        """Return how many checks of the record begin so, where all of them passed; else 0."""
        found = [status for check, status in self.outcomes.items() if check.startswith(start)]
        return len(found) if found and all(s == "passed" for s in found) else 0

    def kills(self, *faults: str) -> str:
        """Return the faults as words, where the drill blocks all of them; else nothing."""
        return f"the drill blocks {', '.join(faults)}" if set(faults) <= self.killed else ""

    def watches(self, kind: str) -> str:
        """Return a line of the monitor that limits something, in words; else nothing."""
        rules = self.contract.monitor.watch if self.contract.monitor else ()
        number = next((i for i, r in enumerate(rules) if getattr(r, kind, None) is not None), None)
        return "" if number is None else f"monitor.watch[{number}] limits {kind}"


Proof = Callable[[Known], str]


@dataclass(frozen=True)
class Test:
    """One test.

    proof  returns what proves it, in words, or nothing; None where only people can know
    """

    name: TestName
    text: str
    proof: Proof | None = None

    @property
    def section(self) -> str:
        """One of `SECTIONS`."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Credit:
    """What a test counts, and by what: 1 by a machine's evidence, 0.5 by a person's word, 0 by nothing."""

    name: str
    section: str
    text: str
    points: float
    evidence: str


def _schema(known: Known) -> str:
    count, kills = known.passed("data_quality/"), known.kills("data-as-text", "data-column-absent")
    return f"{count} checks of data quality passed, {kills}" if count and kills else ""


def _requirements(known: Known) -> str:
    count = known.passed("explainability/forbidden/")
    return f"{count} forbidden features are not relied on (explainability)" if count else ""


def _privacy(known: Known) -> str:
    data = known.contract.data
    sensitive = [n for n, c in data.columns.items() if c.sensitive]
    return (
        f"{len(sensitive)} columns are sensitive: no value of them is shown"
        if sensitive and not data.public_data
        else ""
    )


def _reviewed(known: Known) -> str:
    review = known.record.get("run", {}).get("review")
    return f"commit {str(review.get('commit', ''))[:12]} was reviewed (record)" if review else ""


def _simpler(known: Known) -> str:
    found = [c for c, s in known.outcomes.items() if "/vs-anchor" in c and s == "passed"]
    return f"{found[0]} passed (record)" if found else ""


def _slices(known: Known) -> str:
    found = [s for c, s in known.outcomes.items() if c.startswith("performance/") and "=" in c and "fairness" not in c]
    kills = known.kills("model-slice-inverted")
    return f"{len(found)} checks of slices passed, {kills}" if found and kills and set(found) == {"passed"} else ""


def _inclusion(known: Known) -> str:
    count = known.passed("performance/fairness/")
    return f"{count} checks of fairness passed (record)" if count else ""


def _unit(known: Known) -> str:
    count = known.passed("custom/")
    return f"{count} tests of the repository's own passed (record)" if count else ""


def _integration(known: Known) -> str:
    url = known.record.get("run", {}).get("url")
    return "the whole pipeline ran in a workflow (record, run.url)" if url and known.outcomes else ""


def _validated(known: Known) -> str:
    passed = known.record.get("verdict", {}).get("status") == "passed"
    kills = known.kills("model-worse", "model-stale", "process-outcome-edited", "process-record-replayed")
    return f"the record passed, {kills}" if passed and kills else ""


def _canaried(known: Known) -> str:
    return (
        "monitor.canary moves traffic step by step" if known.contract.monitor and known.contract.monitor.canary else ""
    )


def _rolled_back(known: Known) -> str:
    if known.contract.deploy is None:
        return ""
    return "deploy verifies which version serves, after a rollback as well"


def _dependencies(known: Known) -> str:
    blocks = known.contract.model.fitted_versions == "block"
    return "model.fitted_versions blocks other versions" if blocks and known.passed("model/fitted-versions") else ""


def _skew(known: Known) -> str:
    kills = known.kills("serving-wrong-answers")
    return f"load/wrong-answers passed, {kills}" if known.passed("load/wrong-answers") and kills else ""


def _computing(known: Known) -> str:
    return known.watches("latency_ms_at_most")


TESTS = (
    Test("data-schema", "Feature expectations are captured in a schema", _schema),
    Test("data-beneficial", "All features are beneficial"),
    Test("data-cost", "No feature's cost is too much"),
    Test("data-requirements", "Features adhere to meta-level requirements", _requirements),
    Test("data-privacy", "The data pipeline has appropriate privacy controls", _privacy),
    Test("data-quick-to-add", "New features can be added quickly"),
    Test("data-code-tested", "All input feature code is tested"),
    Test("model-reviewed", "Model specs are reviewed and submitted", _reviewed),
    Test("model-online-correlates", "Offline and online metrics correlate"),
    Test("model-tuned", "All hyperparameters have been tuned"),
    Test("model-staleness-known", "The impact of model staleness is known"),
    Test("model-simpler-is-worse", "A simpler model is not better", _simpler),
    Test("model-slices", "Model quality is sufficient on important data slices", _slices),
    Test("model-inclusion", "The model is tested for considerations of inclusion", _inclusion),
    Test("infra-reproducible", "Training is reproducible"),
    Test("infra-unit-tested", "Model specs are unit tested", _unit),
    Test("infra-integration-tested", "The ML pipeline is integration tested", _integration),
    Test("infra-validated", "Model quality is validated before serving", _validated),
    Test("infra-debuggable", "The model is debuggable"),
    Test("infra-canaried", "Models are canaried before serving", _canaried),
    Test("infra-rolled-back", "Serving models can be rolled back", _rolled_back),
    Test("monitor-dependencies", "Dependency changes result in notification", _dependencies),
    Test("monitor-invariants", "Data invariants hold for inputs", lambda k: k.watches("drift_at_most")),
    Test("monitor-skew", "Training and serving are not skewed", _skew),
    Test("monitor-age", "Models are not too stale", lambda k: k.watches("age_days_at_most")),
    Test("monitor-numerics", "Models are numerically stable", lambda k: k.kills("model-not-a-number")),
    Test("monitor-computing", "Computing performance has not regressed", _computing),
    Test("monitor-quality", "Prediction quality has not regressed", lambda k: k.watches("metric")),
)


def credits(known: Known, today: date) -> list[Credit]:
    """Return what each test counts, in the paper's order."""
    return [_credit(test, known, today) for test in TESTS]


def _credit(test: Test, known: Known, today: date) -> Credit:
    evidence = test.proof(known) if test.proof else ""
    if evidence:
        return Credit(test.name, test.section, test.text, 1.0, evidence)
    vouched = known.contract.ml_test_score.get(test.name)
    if vouched is None:
        return Credit(test.name, test.section, test.text, 0.0, "")
    said = f"{vouched.owner}, {vouched.done}: {vouched.where}"
    if vouched.done > today or today - vouched.done > VALID:
        return Credit(test.name, test.section, test.text, 0.0, f"{said} (not of the last 365 days)")
    return Credit(test.name, test.section, test.text, 0.5, said)


def score(contract: Contract, record: JsonObject | None, drill: JsonObject, today: date) -> JsonDict:
    """Return the score as it stands in `drill.json`.

    record  the last record, where there is one of this contract
    drill   value of `drill.json`
    """
    outcomes = {o["check"]: o["status"] for s in (record or {}).get("suites", ()) for o in s["outcomes"]}
    killed = frozenset(f["name"] for f in drill["faults"] if f["answer"] == "blocked")
    found = credits(Known(contract, record or {}, outcomes, killed), today)
    sections = {s: sum(c.points for c in found if c.section == s) for s in SECTIONS}
    total = min(sections.values())
    meant = next(said for least, said in MEANT if total >= least)
    return {"total": total, "meaning": meant, "sections": sections, "tests": [asdict(c) for c in found]}
