"""Shadow: what users asked is asked again, of candidate and champion; whatever cannot be asked is no pass."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from support.shadow_work import CHECKS, Work
from weighin.cli import parser
from weighin.contract.canary import Canary
from weighin.contract.checks import checks
from weighin.contract.lines import lines
from weighin.contract.shadow import LIMITS, Shadow
from weighin.contract.stricter import compare
from weighin.errors import ContractError
from weighin.load.bodies import rows_as_json
from weighin.outcome import Status, gate
from weighin.prediction_log.requests import Requests
from weighin.runner import local
from weighin.runner.plan import REQUESTS, Interface, Plan
from weighin.suites import informed
from weighin.suites.evidence import Evidence
from weighin.suites.shadow import _share


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def busy(work: Work) -> Work:
    """With a log of single rows."""
    work.log(*work.traffic())
    return work


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """With a log of single rows, replayed. Whoever changes it takes a copy."""
    work = Work(tmp_path_factory.mktemp("green"))
    work.log(*work.traffic())
    work.outcomes()
    return work


def unevaluated(found: dict[str, Any]) -> str:
    """The one sentence of all checks, none of which was evaluated."""
    assert set(found) == CHECKS
    assert {o.status for o in found.values()} == {Status.NOT_EVALUATED}
    assert gate(list(found.values())) is Status.NOT_EVALUATED
    (reason,) = {o.reason for o in found.values()}
    return reason


def test_a_candidate_that_answers_as_the_champion_does_passes(green: Work) -> None:
    found = green.judged()
    assert {n: o.status.value for n, o in found.items()} == dict.fromkeys(CHECKS, "passed"), found
    assert found["shadow/disagreement"].evidence.n == 200
    assert found["shadow/p50"].evidence.n == 20
    low, middle, high = found["shadow/p50/vs-champion"].evidence.detail["champion_ms"]
    assert 0 < low <= middle <= high < 1000


# --- one thing broken


def test_a_candidate_that_decides_otherwise_fails(work: Work) -> None:
    # Of probabilities between 0.3 and 1 that are lowered by 0.3, three in seven cross the threshold.
    work.log(*[[[0.3 + 0.7 * r[0][0], 1]] for r in work.traffic()])
    work.candidate = {"shift": -0.3}
    assert work.red() == {"shadow/disagreement": "failed"}


def test_a_slow_candidate_fails(busy: Work) -> None:
    # Half as many requests as elsewhere: each waits.
    busy.contract["gates"]["shadow"] |= {"latency_ms_at_most": 20, "requests": 100, "error_rate_at_most": 0.06}
    busy.candidate = {"sleep": 0.05}
    assert busy.red() == {"shadow/p50": "failed", "shadow/p50/vs-champion": "failed"}


@pytest.mark.exhaustive
def test_a_slow_champion_is_no_fault_of_the_candidate(busy: Work) -> None:
    busy.contract["gates"]["shadow"]["latency_ratio_at_most"] = 1
    busy.champion = {"sleep": 0.03}
    assert busy.red() == {}


def test_a_candidate_that_answers_with_errors_fails(busy: Work) -> None:
    busy.candidate = {"fails_above": 0.9}
    busy.contract["gates"]["shadow"]["disagreement_at_most"] = 0.3
    found = busy.outcomes()
    assert {n for n, o in found.items() if o.status is not Status.PASSED} == {"shadow/errors"}
    assert found["shadow/errors"].status is Status.FAILED
    assert found["shadow/errors"].evidence.detail["reasons"] == ["status 500"]
    # What it does not answer it does not answer alike.
    assert found["shadow/disagreement"].evidence.detail["differ"] > 0


def test_a_probability_beyond_one_is_no_answer_of_a_model(busy: Work) -> None:
    busy.candidate = {"shift": 0.6}
    assert "outside [0, 1]" in unevaluated(busy.outcomes())


def test_a_champion_that_answers_nothing_leaves_nothing_to_agree_with(busy: Work) -> None:
    busy.champion = {"fails_above": -1}
    found = busy.outcomes()
    red = {n: o.status.value for n, o in found.items() if o.status is not Status.PASSED}
    assert red == dict.fromkeys(("shadow/disagreement", "shadow/p50/vs-champion"), "not_evaluated")
    assert "the champion answered none" in found["shadow/disagreement"].reason


def test_so_few_requests_prove_nothing(work: Work) -> None:
    work.log(*work.traffic(25))
    # Of 25 answers that agree, one in nine may still differ; and 25 requests are two blocks and a half.
    found = work.red()
    assert found["shadow/disagreement"] == "inconclusive"
    assert found["shadow/errors"] == "inconclusive"
    assert found["shadow/p50"] == "not_evaluated"


# --- what cannot be replayed


def test_a_log_that_is_away(work: Work) -> None:
    assert "nothing was logged yet" in unevaluated(work.outcomes())
    assert not (work.work / REQUESTS).exists()


def test_a_database_that_is_away(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.contract["monitor"]["log"] = {"connection": "NO_SUCH_LOG"}
    monkeypatch.delenv("NO_SUCH_LOG", raising=False)
    assert "the environment has no NO_SUCH_LOG" in unevaluated(work.outcomes())


def test_a_log_of_errors_only_is_as_good_as_empty(work: Work) -> None:
    work.log([[0.5, 1]], status=500)
    assert "no request with features stands in the log" in unevaluated(work.outcomes())


def test_a_log_without_features(work: Work) -> None:
    work.log([[0.5, 1]], request_body=b"nonsense")
    assert "no request with features stands in the log" in unevaluated(work.outcomes())


def test_sensitive_features_are_not_there_to_be_replayed(busy: Work) -> None:
    busy.contract["data"]["columns"]["count"]["sensitive"] = True
    assert "1 features are sensitive, and are never logged" in unevaluated(busy.outcomes())


def test_a_first_model_has_nobody_to_be_compared_with(busy: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{busy.folder}/mlflow.db")
    gates = busy.contract["gates"]
    gates["performance"] = {"checks": [{"metric": "roc_auc", "at_least": 0.5}], "first_release": "allow"}
    busy.resolved(champion=False)
    local.load(busy.work, "shadow")
    assert "there is no champion" in unevaluated(busy.judged())


def test_a_step_that_did_not_run(busy: Work) -> None:
    busy.resolved()
    assert "the file was not left" in unevaluated(busy.judged())


def test_requests_that_were_changed_after_they_were_resolved(work: Work, green: Work) -> None:
    shutil.copytree(green.folder, work.folder, dirs_exist_ok=True)
    assert {o.status for o in work.judged().values()} == {Status.PASSED}
    path = work.work / REQUESTS
    requests = Requests.read(path)
    Requests(requests.request, requests.features, requests.logged + 1, requests.digest).write(path)
    assert "the file has changed since it was resolved" in unevaluated(work.judged())


def test_a_server_that_dies_in_between(busy: Work) -> None:
    busy.candidate = {"dies_at": 100}
    assert "the server ended by itself (code 3)" in unevaluated(busy.outcomes())


@pytest.mark.exhaustive
def test_a_replay_that_takes_too_long_is_ended(busy: Work) -> None:
    busy.contract["gates"]["shadow"]["seconds_at_most"] = 1
    busy.candidate = {"sleep": 0.05}
    assert "requests were answered in 1 s, and then it was stopped" in unevaluated(busy.outcomes())


# --- which requests


def resolved(work: Work) -> tuple[Requests, dict[str, Any]]:
    work.resolved()
    return Requests.read(work.work / REQUESTS), json.loads((work.work / "subject.json").read_text())["data"]["requests"]


def test_the_newest_requests_of_the_champion_are_taken_whole(work: Work) -> None:
    work.contract["gates"]["shadow"] |= {"requests": 40, "disagreement_at_most": 0.2, "error_rate_at_most": 0.2}
    for key in ("latency_ratio_at_most", "latency_ms_at_most"):
        del work.contract["gates"]["shadow"][key]
    work.log([[0.11, 1], [0.12, 2]], *[[[0.2, n], [0.3, n], [0.4, n]] for n in range(40)], ago=3)
    work.log(*[[[0.9, 1]]] * 30, role="shadow")
    found, known = resolved(work)
    assert (known["requests"], known["rows"], known["left_out"]) == (40, 120, [])
    assert found.features["a"].to_pylist() == [0.2, 0.3, 0.4] * 40
    assert found.features["count"].to_pylist() == [n for n in range(40) for _ in range(3)]
    assert found.rows_of(1, 2) == [tuple(range(3 * n, 3 * n + 3)) for n in range(1, 40, 2)]


def test_what_the_log_could_not_hold_is_left_out_and_said(work: Work) -> None:
    work.log(*work.traffic(30), ago=3)
    work.log([[0.5, 1]], request_body=b"nonsense", ago=2)
    work.log([[0.5, 1]], ago=1)
    # A row of a batch was lost.
    import sqlite3

    with sqlite3.connect(work.folder / "log.sqlite") as log:
        log.execute("UPDATE weighin_predictions SET row = 1 WHERE at = (SELECT max(at) FROM weighin_predictions)")
    found, known = resolved(work)
    assert known["requests"] == 30
    assert known["left_out"] == ["1 requests of which rows are missing", "1 requests without a single feature"]
    assert len(found.logged) == 30


def test_what_this_champion_answers_otherwise_than_it_was_logged_is_told(work: Work) -> None:
    work.resolved()
    digest = json.loads((work.work / "subject.json").read_text())["champion"]["digest"]
    # Of the 200 newest it answers 150 as they were logged.
    work.log(*work.traffic(), digest=digest)
    work.log(*[[[0.5, i]] for i in range(50)], digest=digest, response_body=b'{"predictions": [[0.9, 0.1]]}', ago=0)
    detail = work.outcomes()["shadow/disagreement"].evidence.detail
    assert (detail["logged_by_this_champion"], detail["not_as_logged"]) == (200, 50)


def test_numbers_keep_their_kind_where_some_are_missing() -> None:
    table = pa.table({"count": pa.array([3, None])})
    assert rows_as_json(table, Interface(), range(2)).of([0, 1]).endswith(b'"data": [[3],[null]]}}')


def test_the_report_tells_what_was_asked(busy: Work) -> None:
    busy.resolved()
    (table,) = informed("shadow", Evidence(busy.file, busy.work))
    assert table["rows"] == [["requests", 200], ["rows", 200]]


# --- statistics


def test_rows_of_a_request_are_not_independent() -> None:
    rng = np.random.default_rng(5)
    limit, missed = 0.1, 0
    # 100 requests of 10 rows, whose rows differ together: 1 in 10 of them.
    codes = np.repeat(np.arange(100), 10)
    for _ in range(400):
        differs = np.repeat(rng.random(100) < limit, 10)
        found = _share(differs, codes, 0.95)
        missed += found.high < limit
    # At most 5 %, and what 400 draws of 5 % exceed once in a thousand times.
    assert missed <= 36
    assert _share(np.zeros(1000, dtype=bool), codes, 0.95).high == pytest.approx(1 - 0.05 ** (1 / 100))


# --- contract and plan


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"disagreement_at_most": 0.001}, "`disagreement_at_most` can never pass with 200 requests: 2,995 are needed"),
        ({"error_rate_at_most": 0}, "no number is enough for a share of 0"),
        ({"quantile": 0.95}, "`quantile` can never pass with 200 requests: 590 are needed"),
        ({"tolerance": 1.0}, "`tolerance` goes with `disagreement_at_most` of a number"),
        ({"requests": 5}, "greater than or equal to 20"),
        (dict.fromkeys(LIMITS), "at least one of"),
    ],
)  # fmt: skip
def test_a_gate_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str, work: Work) -> None:
    work.contract["gates"]["shadow"] |= changes
    with pytest.raises(ContractError, match=says.replace("(", r"\(")):
        _ = work.file


def test_a_gate_needs_a_log_and_servers_of_its_own(work: Work) -> None:
    server = work.contract["gates"]["load"]["server"]
    work.contract["gates"]["load"] |= {"server": {"url": "http://staging"}, "memory_mb_at_most": None}
    with pytest.raises(ContractError, match="cannot let a server with a `url` serve"):
        _ = work.file
    work.contract["gates"]["load"] |= {"server": server, "memory_mb_at_most": 100}
    del work.contract["monitor"]
    with pytest.raises(ContractError, match=r"needs monitor\.log"):
        _ = work.file


def test_the_page_shows_what_a_contract_takes() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    page = (docs / "reference/gates/shadow.md").read_text() + (docs / "how-to/canary.md").read_text()
    shown = {}
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        shown |= yaml.safe_load(block)
    assert set(shown) == {"shadow", "canary"}
    assert Shadow.model_validate(shown["shadow"]).problems_with(0.05, "binary") == []
    assert Canary.model_validate(shown["canary"]).steps == (0.05, 0.25, 1.0)
    (line,) = re.findall(r"```shell\nweighin (.*?)\n```", page)
    assert parser(line.split()).parse_args(line.split()).share == 0.05


@pytest.mark.exhaustive
def test_both_models_come_first_as_often(busy: Work) -> None:
    busy.contract["gates"]["shadow"]["starts"] = 2
    busy.resolved()
    plan = Plan.read(busy.work / "plan.json")
    assert plan.shadow is not None
    order = [s.name for s in plan.shadow.sessions]
    assert order == ["candidate-0", "champion-0", "champion-1", "candidate-1"]
    local.load(busy.work, "shadow")
    assert {n: o.status.value for n, o in busy.judged().items() if o.status is not Status.PASSED} == {}


def test_a_pull_request_may_neither_relax_a_limit_nor_bring_a_log_of_its_own(work: Work) -> None:
    base = work.file.contract
    work.contract["gates"]["shadow"]["disagreement_at_most"] = 0.2
    work.contract["monitor"]["log"] = {"path": "friendly.sqlite"}
    found = compare(work.file.contract, base)
    assert [(c.check, c.how) for c in found.limits] == [("shadow/disagreement", "relaxed")]
    assert found.checks["shadow/disagreement"].limit.value == 0.1
    assert found.measured == ("log.path",)


def test_a_check_leads_to_its_line(work: Work) -> None:
    path = work.file.path
    shown = path.read_text().splitlines()
    listed = checks(work.file.contract, "shadow")
    found = {check: shown[line - 1].split(":")[0].strip() for check, line in lines(path, listed).items()}
    assert found == {
        "shadow/disagreement": "disagreement_at_most",
        "shadow/errors": "error_rate_at_most",
        "shadow/p50": "latency_ms_at_most",
        "shadow/p50/vs-champion": "latency_ratio_at_most",
    }


@pytest.mark.exhaustive
def test_a_regression_has_a_tolerance(work: Work) -> None:
    work.contract["model"] |= {"task": "regression"}
    work.contract["data"]["columns"]["late"] = {"type": "float", "role": "target"}
    work.contract["gates"]["shadow"] |= {"tolerance": 0.05, "disagreement_at_most": 0.1}
    work.log(*work.traffic(), response_body=b'{"predictions": [0.5]}')
    work.candidate = {"shift": 0.04}
    assert work.red() == {}
    work.candidate = {"shift": 0.06}
    assert work.red() == {"shadow/disagreement": "failed"}
